"""The member who is erased in these tests: their password, the texts that must not stay, and the erasure."""

PASSWORD = "three green apples"
TRACES = (
    "Zerlina",
    "Quastenflosser",
    "zq-own-words",
    "Zqville",
    "0170-zq",
    "zq@example.org",
)


def erase(person, signed_in, password=PASSWORD):
    client = signed_in(person)
    return client, client.post("/account/erase", {"password": password})
