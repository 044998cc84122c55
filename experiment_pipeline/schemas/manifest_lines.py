"""Lines of a manifest: where in its file each field stands, for the errors that name one."""

from collections.abc import Iterator
from contextlib import contextmanager

import yaml

from experiment_pipeline.errors import ConfigurationError
from experiment_pipeline.schemas.manifest_messages import with_example

MERGE = "tag:yaml.org,2002:merge"  # of the key `<<`


@contextmanager
def naming_lines(text: str) -> Iterator[None]:
    """Name the line of each field in an error of the block, with an example; `text` is the manifest's YAML."""
    try:
        yield
    except ConfigurationError as invalid:
        lines = _lines(text)
        raise ConfigurationError(
            {_with_line(field, lines): with_example(field, messages) for field, messages in invalid.errors.items()}
        ) from None


def _with_line(field: str, lines: dict[str, int]) -> str:
    """Return a dotted field with its line, or that of the nearest entry above it; one of no entry as it is."""
    above = [path for path in lines if field == path or field.startswith(f"{path}.")]
    return f"{field} (line {lines[max(above, key=len)]})" if above else field


def _lines(text: str) -> dict[str, int]:
    """Return the line of every field and item, counted from 1, by dotted path; none where the text is no YAML."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}
    lines: dict[str, int] = {}
    _collect(lines, "", root)
    return lines


def _collect(lines: dict[str, int], path: str, node: yaml.Node | None) -> None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.tag == MERGE:  # its fields are this mapping's, and stand where they are written
                for merged in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                    _collect(lines, path, merged)
            elif isinstance(key, yaml.ScalarNode):
                below = f"{path}.{key.value}" if path else key.value
                lines[below] = key.start_mark.line + 1
                _collect(lines, below, value)
    elif isinstance(node, yaml.SequenceNode):
        for position, item in enumerate(node.value):
            below = f"{path}.{position}"
            lines[below] = item.start_mark.line + 1
            _collect(lines, below, item)
