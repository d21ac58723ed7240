"""The tasks of a pass on a cluster, as a tree: spans of leaves, and what joins them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from distributed import Future

from dkmeans.rows.spans import Span


@dataclass(frozen=True)
class Place:
    """Where a leaf is to run."""

    worker: str = ""
    """Where its blocks are, or should be; empty for wherever Dask likes."""

    only: bool = False
    """Whether it may run there alone."""

    sent: int = -1
    """The leaf, if its data are sent along: it has a task of its own."""

    @property
    def may_move(self) -> bool:
        """Whether it prefers a worker, and may run elsewhere."""
        return bool(self.worker) and not self.only


@dataclass(eq=False)
class Node:
    """A task of the pass: it walks a span, or joins what its children have found."""

    span: Span | None = None
    place: Place = Place()
    children: "list[Node]" = field(default_factory=list)
    parent: "Node | None" = field(default=None, repr=False)
    future: Future[Any] | None = None
    """None if it is to be submitted, or was let go of because its parent is done."""

    @classmethod
    def joining(cls, children: Iterable["Node"]) -> "Node":
        """Put a node above others."""
        node = cls(children=list(children))
        for child in node.children:
            child.parent = node
        return node

    @property
    def status(self) -> str:
        """Of its future; "none" without."""
        return "none" if self.future is None else str(self.future.status)

    def release(self) -> None:
        """Let workers forget what it has found."""
        if self.future is not None:
            self.future.release()
            self.future = None

    def walk(self) -> "Iterator[Node]":
        """Yield all below it, and it."""
        for child in self.children:
            yield from child.walk()
        yield self

    def outdate(self) -> None:
        """Have it run again, and all above it."""
        node: Node | None = self
        while node is not None:
            node.release()
            node = node.parent

    @property
    def failed(self) -> bool:
        """Whether it failed; of those that were let go of, any may be what does not come back."""
        if self.future is None and self.parent is not None:
            return self.parent.status == "error"
        return self.status == "error"

    def needed(self) -> "Iterator[Node]":
        """Yield what is to be submitted, children first."""
        if self.future is None:
            for child in self.children:
                yield from child.needed()
            yield self

    def unfinished(self) -> "Iterator[Node]":
        """Yield what has no result yet, and is needed."""
        if self.status in ("none", "pending", "lost"):
            for child in self.children:
                yield from child.unfinished()
            yield self

    def replaced(self, nodes: "list[Node]") -> "Node":
        """Put others in its place, to be run; return the root of the tree."""
        self.outdate()
        if self.parent is None:
            return nodes[0] if len(nodes) == 1 else Node.joining(nodes)
        siblings = self.parent.children
        at = siblings.index(self)
        siblings[at : at + 1] = nodes
        for node in nodes:
            node.parent = self.parent
        return self.parent.root

    @property
    def root(self) -> "Node":
        """What joins all."""
        return self if self.parent is None else self.parent.root
