"""Retained documents: the latest of each, suspects alone, and none that ends connections for ever."""

from __future__ import annotations

from edgeflow.mqtt.retained_documents import Document, RetainedDocuments


class Network:
    """A link whose published messages wait until they are answered."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes]] = []
        self.waiting: list[str] = []
        self.documents = RetainedDocuments(self._publish)

    def _publish(self, topic: str, document: Document) -> None:
        self.sent.append((topic, document[0]))
        self.waiting.append(topic)

    def put(self, topic: str, payload: bytes = b"{}") -> None:
        self.documents.put(topic, (payload, "s"))
        self.send()

    def send(self, room: int = 12) -> None:
        self.documents.send(lambda: self.waiting, room)

    def answer(self, topic: str) -> None:
        self.waiting.remove(topic)
        self.documents.passed(topic)
        self.send()

    def connect(self) -> None:
        self.sent, self.waiting = [], []
        self.documents.all_due()
        self.send()

    def lose(self) -> tuple[str, int] | None:
        return self.documents.connection_ended(tuple(self.waiting))

    @property
    def topics(self) -> list[str]:
        return [topic for topic, _ in self.sent]


def test_the_latest_of_each_topic_is_published_once_per_connection() -> None:
    network = Network()
    network.put("state", b"1")
    network.put("state", b"2")
    network.put("birth", b"b")
    assert network.sent == [("state", b"1"), ("state", b"2"), ("birth", b"b")]
    network.connect()
    assert network.sent == [("state", b"2"), ("birth", b"b")]
    network.send()
    assert len(network.sent) == 2


def test_a_decision_finds_room_beside_many_documents() -> None:
    network = Network()
    for number in range(30):
        network.documents.put(f"d{number}", (b"{}", "s"))
    network.send(room=12)
    assert len(network.waiting) == 12
    network.answer("d0")
    assert (len(network.waiting), network.topics[-1]) == (12, "d12")


def test_after_a_loss_suspects_go_alone_and_last() -> None:
    network = Network()
    network.put("bad")
    network.put("good")
    assert network.lose() is None
    network.documents.put("fresh", (b"{}", "s"))
    network.connect()
    assert network.topics == ["fresh"], "first what is not suspected"
    network.answer("fresh")
    assert network.topics == ["fresh", "bad"]
    network.put("fresh", b"new")
    assert network.topics == ["fresh", "bad"], "nothing goes beside a suspect"
    network.answer("bad")
    assert network.topics == ["fresh", "bad", "fresh"]


def test_one_that_ends_connections_is_left_out_until_it_is_smaller_and_the_others_are_said() -> None:
    network = Network()
    network.put("bad", b"x" * 100)
    network.put("good")
    network.lose()
    found = None
    for _ in range(6):
        network.connect()
        while network.waiting and network.waiting != ["bad"]:
            network.answer(network.waiting[0])
        if not network.waiting:
            break
        found = network.lose() or found
    assert found == ("bad", 100)
    assert network.topics == ["good"]
    network.put("bad", b"x" * 100)
    assert network.topics == ["good"]
    network.put("bad", b"x" * 99)
    assert network.sent[-1] == ("bad", b"x" * 99)
    network.answer("bad")
    network.put("bad", b"x" * 100)
    assert network.sent[-1] == ("bad", b"x" * 100), "it may be tried again once it passed"
