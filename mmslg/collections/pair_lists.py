"""Lists of pairs in JSONL or Parquet."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json
import pyarrow.parquet

from mmslg.captions.schema import COMPONENTS
from mmslg.errors import InputError
from mmslg.utils.os_errors import explained

REQUIRED = ('id', 'visible', 'infrared')


def read_pair_list(path: str | os.PathLike) -> tuple[pa.Table, list[str]]:
    """Read a list of pairs: ``id``, ``visible``, ``infrared``, perhaps ``caption``, four texts.

    Args:
        path: File that ends in ``.jsonl`` or ``.parquet``. Image paths in it are relative to its folder.

    Returns:
        The table, with absolute paths and ``caption`` null where there is none; and the columns that it does
        not take over.

    Raises:
        InputError: The file cannot be read, a column or a value is missing, or an id is given twice.
    """
    path = Path(path)
    if path.suffix not in ('.jsonl', '.parquet'):
        raise InputError(f'{path}: wanted a list of pairs that ends in .jsonl or .parquet')
    with explained(path), path.open('rb') as file:
        start = file.read(4096).lstrip(b'\xef\xbb\xbf \t\r\n')
    if path.suffix == '.jsonl' and not start.startswith(b'{'):  # pyarrow crashes on a line that holds null
        raise InputError(f'{path}: wanted an object a line, it begins with {start[:20]!r}')
    try:
        table = pa.json.read_json(path) if path.suffix == '.jsonl' else pa.parquet.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f'{path}: cannot be read: {" ".join(str(error).split())[:200]}') from None
    missing = [name for name in REQUIRED if name not in table.column_names]
    if missing:
        raise InputError(f'{path}: wanted {", ".join(REQUIRED)} for each pair; lacks {", ".join(missing)}')
    columns = {name: _texts(path, name, table[name]) for name in REQUIRED}
    folder = f'{path.resolve().parent}{os.sep}'
    for name in ('visible', 'infrared'):
        absolute = pc.starts_with(columns[name], os.sep)
        joined = pc.binary_join_element_wise(folder, columns[name], '')
        columns[name] = pc.if_else(absolute, columns[name], joined)
    _check_ids(path, columns['id'])
    columns['caption'] = _captions(path, table)
    unused = [name for name in table.column_names if name not in columns]
    return pa.table(columns), unused


def _texts(path: Path, name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_integer(column.type) and name == 'id':
        column = column.cast(pa.string())
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        raise InputError(f'{path}: {name}: wanted texts, got {column.type}')
    empty = pc.index(pc.or_(pc.is_null(column), pc.equal(pc.fill_null(column, ''), '')), True).as_py()
    if empty >= 0:
        raise InputError(f'{path}: pair {empty + 1} has no {name}')
    return column.cast(pa.string())


def _check_ids(path: Path, ids: pa.ChunkedArray) -> None:
    counts = pc.value_counts(ids)
    first = pc.index(pc.greater(counts.field('counts'), 1), True).as_py()
    if first >= 0:
        raise InputError(f'{path}: id {counts[first]["values"].as_py()!r} is given more than once')


def _captions(path: Path, table: pa.Table) -> pa.ChunkedArray:
    wanted = pa.struct([(name, pa.string()) for name in COMPONENTS])
    if 'caption' not in table.column_names:
        return pa.chunked_array([pa.nulls(table.num_rows, wanted)])
    column = table['caption']
    kind = column.type
    if pa.types.is_null(kind):
        return column.cast(wanted)
    names = {kind.field(i).name for i in range(kind.num_fields)} if pa.types.is_struct(kind) else set()
    if names != set(COMPONENTS):
        raise InputError(f'{path}: caption: wanted an object of {", ".join(COMPONENTS)}, got {kind!s:.100}')
    return column.cast(pa.struct([(kind.field(i).name, pa.string()) for i in range(kind.num_fields)]))
