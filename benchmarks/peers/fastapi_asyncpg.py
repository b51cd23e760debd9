"""FastAPI with asyncpg, bare: the operations alone, in hand-written statements."""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any
from uuid import UUID, uuid4

import asyncpg
from fastapi import Depends, FastAPI, Header, HTTPException, Response
from pydantic import BaseModel, Field

from benchmarks.peers import answers, statements
from benchmarks.peers.statements import numbered

SQL = {name: numbered(text) for name, text in vars(statements).items() if name.isupper() and isinstance(text, str)}


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings = {"application_name": os.environ["PGAPPNAME"]}
    async with asyncpg.create_pool(
        os.environ["PEER_DATABASE_URL"], min_size=1, max_size=8, server_settings=settings
    ) as pool:
        app.state.pool = pool
        yield


app = FastAPI(lifespan=lifespan)


class Offer(BaseModel):
    initial_message: str = Field(min_length=10, max_length=1000)


class NewMessage(BaseModel):
    content: str = Field(min_length=1, max_length=1000)


class Acting:
    """A connection in a transaction, as one member."""

    def __init__(self, connection: Any, member: UUID) -> None:
        self.ask, self.one, self.do, self.member = (
            connection.fetch,
            connection.fetchrow,
            connection.execute,
            member,
        )


async def acting(authorization: Annotated[str, Header()] = "") -> AsyncIterator[Acting]:
    async with app.state.pool.acquire() as connection, connection.transaction():
        member = await connection.fetchrow(SQL["TOKEN"], answers.digest_of(authorization))
        if member is None:
            raise HTTPException(401)
        await connection.execute(SQL["ACT"], str(member[0]))
        yield Acting(connection, member[0])


# `scope="function"`: the transaction commits before the answer is sent.
Session = Annotated[Acting, Depends(acting, scope="function")]


def _json(body: Any, status: int = 200, **headers: str) -> Response:
    content = json.dumps(body, default=answers.as_text, separators=(",", ":"))
    return Response(content, status, headers, "application/json")


@app.post("/api/messaging/help-requests/{request_id}/start-conversation")
async def start(request_id: UUID, given: Offer, session: Session) -> Response:
    request = await session.one(SQL["LOCK_REQUEST"], request_id)
    if request is None or request[1] not in ("open", "in_progress"):
        raise HTTPException(404)
    if await session.one(SQL["PAIR"], request_id, session.member):
        raise HTTPException(409)
    conversation_id = uuid4()
    await session.do(SQL["START"], conversation_id, request_id, request[0], session.member, given.initial_message)
    return _json(answers.started(conversation_id), 201)


@app.post("/api/messaging/conversations/{conversation_id}/messages")
async def send(conversation_id: UUID, given: NewMessage, session: Session) -> Response:
    conversation = await session.one(SQL["LOCK_CONVERSATION"], conversation_id)
    if conversation is None or conversation[2] != "active":
        raise HTTPException(404)
    stored = await session.one(SQL["SEND"], uuid4(), conversation_id, session.member, given.content)
    await session.do(SQL["TOUCH"], conversation_id, stored[3])
    return _json(answers.sent(tuple(stored)), 201)


@app.get("/api/messaging/conversations")
async def inbox(session: Session) -> Response:
    return _json(answers.inbox([tuple(row) for row in await session.ask(SQL["INBOX"], session.member)]))


@app.get("/api/messaging/conversations/{conversation_id}")
async def thread(conversation_id: UUID, session: Session) -> Response:
    found = await session.one(SQL["CONVERSATION"], conversation_id, session.member)
    if found is None:
        raise HTTPException(404)
    latest = await session.ask(SQL["LATEST"], conversation_id, 51)
    return _json(answers.thread(tuple(found), [tuple(row) for row in latest]))


@app.get("/api/messaging/conversations/{conversation_id}/messages")
async def poll(
    conversation_id: UUID, after: UUID, session: Session, if_none_match: Annotated[str, Header()] = ""
) -> Response:
    if await session.one(SQL["CONVERSATION"], conversation_id, session.member) is None:
        raise HTTPException(404)
    rows = await session.ask(SQL["NEWER"], conversation_id, after)
    answer = _json(answers.newer([tuple(row) for row in rows]))
    tag = answers.etag(bytes(answer.body))
    if if_none_match == tag:
        return Response(status_code=304, headers={"ETag": tag})
    answer.headers["ETag"] = tag
    return answer
