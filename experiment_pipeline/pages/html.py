"""Pages as HTML: templates in which every text is escaped, and the style and the script that pages load."""

from functools import cache
from hashlib import sha256
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from experiment_pipeline.domain.texts import printable, shortened

FOLDER = Path(__file__).parent
NAME_SHOWN = 80  # characters of a name of somebody else, but for the heading of its own page
MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def render(template: str, /, **context: object) -> str:
    """Return a page.

    Args:
        template: the name of its file in `templates`.
        context: what it shows. Texts are escaped; only what is `Markup` is not.
    """
    return _templates().get_template(template).render(context)


def inline(picture: str) -> Markup:
    """Return a picture of `pages.pictures` as part of a page: it has escaped every text itself."""
    return Markup(picture)  # noqa: S704 - svg.py escapes what it draws


@cache
def static_files() -> dict[str, bytes]:
    """Return the files that pages load, by name."""
    return {path.name: path.read_bytes() for path in sorted((FOLDER / "static").iterdir())}


def static_address(name: str) -> str:
    """Return the address of a file that pages load; another content has another address, so that it may be cached."""
    return f"/static/{name}?v={sha256(static_files()[name]).hexdigest()[:16]}"


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["static"] = static_address
    environment.filters["short"] = lambda text, characters=NAME_SHOWN: printable(shortened(text, characters))
    environment.filters["sentence"] = lambda text: text[:1].upper() + text[1:]
    return environment
