"""Pagination of long lists, and the search in them."""

from collections.abc import Sequence
from typing import Annotated, Generic, TypeVar

from fastapi import Depends, Query, Request
from pydantic import AfterValidator, BaseModel, Field, StringConstraints

from experiment_pipeline.domain.fields import NOT_TEXT

T = TypeVar("T")
LAST_PAGE = 1_000_000  # beyond it an offset no longer fits a database's integer


def _searchable(text: str) -> str:
    if NOT_TEXT.search(text):
        raise ValueError("Must not hold null characters.")
    return text


Text = Annotated[str, StringConstraints(max_length=2_000), AfterValidator(_searchable)]
Search = Annotated[Text, Query(alias="q", description="a part of the text")]


class PageRequest:
    """The page that a request asks for, and the addresses of its neighbours."""

    def __init__(
        self,
        request: Request,
        page: Annotated[int, Query(ge=1, le=LAST_PAGE)] = 1,
        page_size: Annotated[int, Query(ge=1, le=999)] = 50,
    ) -> None:
        self.url = request.url
        self.page = page
        self.limit = page_size
        self.offset = (page - 1) * page_size

    def previous(self) -> str | None:
        """Return the address of the page before, or None on the first."""
        return str(self.url.include_query_params(page=self.page - 1)) if self.page > 1 else None

    def next(self, count: int) -> str | None:
        """Return the address of the page after, or None on the last."""
        more = self.offset + self.limit < count
        return str(self.url.include_query_params(page=self.page + 1)) if more else None


Paging = Annotated[PageRequest, Depends()]


class Page(BaseModel, Generic[T]):
    """A part of a list."""

    count: int = Field(description="how many there are on all pages")
    next: str | None = Field(description="address of the next page")
    previous: str | None = Field(description="address of the previous page")
    results: Sequence[T]
