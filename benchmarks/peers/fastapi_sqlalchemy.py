"""FastAPI with SQLAlchemy's ORM, bare: mapped classes, a session for each request, relations loaded by join."""

import json
import os
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import Depends, FastAPI, Header, HTTPException, Response
from pydantic import BaseModel, Field
from sqlalchemy import DateTime, ForeignKey, and_, case, func, literal, or_, select, text, tuple_, update
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, aliased, contains_eager, joinedload, mapped_column, relationship

from benchmarks.peers import answers

url = make_url(os.environ["PEER_DATABASE_URL"]).set(drivername="postgresql+asyncpg")
name = {"server_settings": {"application_name": os.environ["PGAPPNAME"]}}
engine = create_async_engine(url, pool_size=8, connect_args=name)
Sessions = async_sessionmaker(engine, expire_on_commit=False)
app = FastAPI()


class Base(DeclarativeBase):
    type_annotation_map = {datetime: DateTime(timezone=True)}


class Profile(Base):
    __tablename__ = "profiles"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    is_active: Mapped[bool]


class Token(Base):
    __tablename__ = "knox_authtoken"
    digest: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("profiles.id"))
    expiry: Mapped[datetime | None]


class HelpRequest(Base):
    __tablename__ = "help_requests"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("profiles.id"))
    title: Mapped[str]
    status: Mapped[str]


class Conversation(Base):
    __tablename__ = "conversations_v2"
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    help_request_id: Mapped[UUID] = mapped_column(ForeignKey("help_requests.id"))
    requester_id: Mapped[UUID] = mapped_column(ForeignKey("profiles.id"))
    helper_id: Mapped[UUID] = mapped_column(ForeignKey("profiles.id"))
    initial_message: Mapped[str]
    status: Mapped[str] = mapped_column(default="active")
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    help_request: Mapped[HelpRequest] = relationship()
    requester: Mapped[Profile] = relationship(foreign_keys=[requester_id])
    helper: Mapped[Profile] = relationship(foreign_keys=[helper_id])


class Message(Base):
    __tablename__ = "messages_v2"
    __mapper_args__ = {"eager_defaults": True}
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    conversation_id: Mapped[UUID] = mapped_column(ForeignKey("conversations_v2.id"))
    sender_id: Mapped[UUID] = mapped_column(ForeignKey("profiles.id"))
    content: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class ReadPointer(Base):
    __tablename__ = "inbox_readpointer"
    member_id: Mapped[UUID] = mapped_column(primary_key=True)
    conversation_id: Mapped[UUID] = mapped_column(primary_key=True)
    read_to: Mapped[datetime | None]


class Offer(BaseModel):
    initial_message: str = Field(min_length=10, max_length=1000)


class NewMessage(BaseModel):
    content: str = Field(min_length=1, max_length=1000)


class Acting:
    def __init__(self, session: AsyncSession, member: Profile) -> None:
        self.session, self.member = session, member


async def acting(authorization: Annotated[str, Header()] = "") -> AsyncIterator[Acting]:
    async with Sessions() as session, session.begin():
        signed_in = (
            select(Profile)
            .join(Token, Token.user_id == Profile.id)
            .where(
                Token.digest == answers.digest_of(authorization),
                or_(Token.expiry.is_(None), Token.expiry > func.clock_timestamp()),
                Profile.is_active,
            )
        )
        member = (await session.execute(signed_in)).scalar_one_or_none()
        if member is None:
            raise HTTPException(401)
        await session.execute(text("SELECT set_config('app.user_id', :member, true)"), {"member": str(member.id)})
        yield Acting(session, member)


Session = Annotated[Acting, Depends(acting, scope="function")]


def _json(body: Any, status: int = 200) -> Response:
    content = json.dumps(body, default=answers.as_text, separators=(",", ":"))
    return Response(content, status, media_type="application/json")


def _row(message: Message) -> tuple[Any, ...]:
    return tuple(getattr(message, column) for column in answers.MESSAGE)


@app.post("/api/messaging/help-requests/{request_id}/start-conversation")
async def start(request_id: UUID, given: Offer, acting: Session) -> Response:
    session, member = acting.session, acting.member
    locked = select(HelpRequest).where(HelpRequest.id == request_id).with_for_update(key_share=True)
    request = (await session.execute(locked)).scalar_one_or_none()
    if request is None or request.status not in ("open", "in_progress"):
        raise HTTPException(404)
    pair = select(Conversation.id).where(
        Conversation.help_request_id == request_id, Conversation.helper_id == member.id
    )
    if (await session.execute(pair)).first():
        raise HTTPException(409)
    conversation = Conversation(
        help_request_id=request_id,
        requester_id=request.user_id,
        helper_id=member.id,
        initial_message=given.initial_message,
    )
    session.add(conversation)
    await session.flush()
    return _json(answers.started(conversation.id), 201)


@app.post("/api/messaging/conversations/{conversation_id}/messages")
async def send(conversation_id: UUID, given: NewMessage, acting: Session) -> Response:
    session = acting.session
    locked = select(Conversation).where(Conversation.id == conversation_id).with_for_update(key_share=True)
    conversation = (await session.execute(locked)).scalar_one_or_none()
    if conversation is None or conversation.status != "active":
        raise HTTPException(404)
    message = Message(conversation_id=conversation_id, sender_id=acting.member.id, content=given.content)
    session.add(message)
    await session.flush()
    touched = update(Conversation).where(Conversation.id == conversation_id).values(updated_at=message.created_at)
    await session.execute(touched.execution_options(synchronize_session=False))
    return _json(answers.sent(_row(message)), 201)


@app.get("/api/messaging/conversations")
async def inbox(acting: Session) -> Response:
    me = acting.member.id
    last = aliased(
        Message,
        select(Message)
        .where(Message.conversation_id == Conversation.id)
        .order_by(Message.created_at.desc(), Message.id.desc())
        .limit(1)
        .lateral(),
    )
    seen = case((ReadPointer.read_to.is_(None), text("'-infinity'::timestamptz")), else_=ReadPointer.read_to)
    unread = (
        select(func.count())
        .where(Message.conversation_id == Conversation.id, Message.sender_id != me, Message.created_at > seen)
        .correlate(Conversation, ReadPointer)
        .scalar_subquery()
    )
    first = and_(
        Conversation.helper_id != me,
        or_(ReadPointer.read_to.is_(None), Conversation.created_at > ReadPointer.read_to),
    )
    request = aliased(HelpRequest)
    found = await acting.session.execute(
        select(Conversation, last, unread + case((first, 1), else_=0))
        .join(request, Conversation.help_request)
        .outerjoin(last, literal(True))
        .outerjoin(ReadPointer, and_(ReadPointer.member_id == me, ReadPointer.conversation_id == Conversation.id))
        .where(or_(Conversation.requester_id == me, Conversation.helper_id == me))
        .options(
            contains_eager(Conversation.help_request.of_type(request)),
            joinedload(Conversation.requester),
            joinedload(Conversation.helper),
        )
        .order_by(Conversation.updated_at.desc(), Conversation.id.desc())
        .limit(21)
    )
    rows = []
    for conversation, newest, waiting in found:
        other = conversation.helper if conversation.requester_id == me else conversation.requester
        asked = conversation.help_request
        said = (
            (newest.id, newest.sender_id, newest.content, newest.created_at)
            if newest
            else (None, conversation.helper_id, conversation.initial_message, conversation.created_at)
        )
        about = (conversation.id, conversation.status, conversation.updated_at, asked.id, asked.title, asked.status)
        rows.append((*about, other.id, other.name, *said, waiting))
    return _json(answers.inbox(rows))


@app.get("/api/messaging/conversations/{conversation_id}")
async def thread(conversation_id: UUID, acting: Session) -> Response:
    conversation = await _visible(acting, conversation_id)
    latest = (
        select(Message)
        .where(Message.conversation_id == conversation_id)
        .order_by(Message.created_at.desc(), Message.id.desc())
        .limit(51)
    )
    found = (await acting.session.execute(latest)).scalars()
    row = tuple(getattr(conversation, column) for column in answers.CONVERSATION)
    return _json(answers.thread(row, [_row(message) for message in found]))


@app.get("/api/messaging/conversations/{conversation_id}/messages")
async def poll(
    conversation_id: UUID, after: UUID, acting: Session, if_none_match: Annotated[str, Header()] = ""
) -> Response:
    await _visible(acting, conversation_id)
    anchor = await acting.session.get(Message, after)
    if anchor is None:
        raise HTTPException(404)
    newer = (
        select(Message)
        .where(
            Message.conversation_id == conversation_id,
            tuple_(Message.created_at, Message.id) > (anchor.created_at, anchor.id),
        )
        .order_by(Message.created_at, Message.id)
        .limit(201)
    )
    found = (await acting.session.execute(newer)).scalars()
    answer = _json(answers.newer([_row(message) for message in found]))
    tag = answers.etag(bytes(answer.body))
    if if_none_match == tag:
        return Response(status_code=304, headers={"ETag": tag})
    answer.headers["ETag"] = tag
    return answer


async def _visible(acting: Acting, conversation_id: UUID) -> Conversation:
    me = acting.member.id
    mine = or_(Conversation.requester_id == me, Conversation.helper_id == me)
    found = await acting.session.execute(select(Conversation).where(Conversation.id == conversation_id, mine))
    conversation = found.scalar_one_or_none()
    if conversation is None:
        raise HTTPException(404)
    return conversation
