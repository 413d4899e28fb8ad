"""Compare the products of two runs: the same pixels, tables and coefficients, whatever their ids, dates and names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from lsst.daf.butler import Butler, CollectionType, DatasetRef  # type: ignore[attr-defined]
from lsst.resources import ResourcePath

from skyloom.errors import RepositoryError

from .compare_files import differences_of_files

__all__ = ["Comparison", "compare_collections"]

_ACCOUNTS = frozenset({"TaskMetadata", "ButlerLogRecords", "Packages", "QBBProvenance"})
"""Storage classes of what tells how a run went, not what it made: they hold dates and durations."""

type Key = tuple[str, str]


@dataclass
class Comparison:
    """What two collections have in common."""

    n_equal: int = 0
    differences: dict[str, list[str]] = field(default_factory=dict)
    """Dataset to what differs in it, in the order of their names."""

    @property
    def equal(self) -> bool:
        """Whether both hold the same."""
        return not self.differences


def compare_collections(
    first: tuple[Butler, str], second: tuple[Butler, str], *, advance: Callable[[int, int], object] = lambda *_: None
) -> Comparison:
    """Compare all products of two collections.

    Of a chain the runs that bear its name count, newest first, and not the inputs behind them.  Logs, metadata and
    versions of the software are left out.

    Parameters
    ----------
    first, second
        A butler and the name of a collection.
    advance
        Called after each dataset with the number of those done and of all.

    Raises
    ------
    RepositoryError
        If a collection holds no product.
    """
    one, other = _products(*first), _products(*second)
    result = Comparison()
    keys = sorted(one.keys() | other.keys())
    for done, key in enumerate(keys, start=1):
        found = list(_differences(key, (first[0], one), (second[0], other)))
        if found:
            result.differences[" ".join(key)] = found
        else:
            result.n_equal += 1
        advance(done, len(keys))
    return result


def _products(butler: Butler, collection: str) -> dict[Key, DatasetRef]:
    """Products by dataset type and data id."""
    info = butler.collections.get_info(collection)
    runs = [collection]
    if info.type is CollectionType.CHAINED:
        runs = [child for child in info.children if child.startswith(f"{collection}/")]
    names = {name for run in runs for name in _dataset_types(butler, run)}
    found: dict[Key, DatasetRef] = {}
    for name in sorted(names):
        if butler.get_dataset_type(name).storageClass_name in _ACCOUNTS:
            continue
        for ref in butler.query_datasets(name, collections=runs, explain=False, limit=None):
            data_id = " ".join(f"{key}={value}" for key, value in ref.dataId.required.items())
            found[name, data_id] = ref
    if not found:
        raise RepositoryError(f"{collection!r} holds no product.", cure="Name the output of a run.")
    return found


def _dataset_types(butler: Butler, run: str) -> list[str]:
    return sorted(butler.collections.get_info(run, include_summary=True).dataset_types or ())


def _differences(
    key: Key, one: tuple[Butler, Mapping[Key, DatasetRef]], other: tuple[Butler, Mapping[Key, DatasetRef]]
) -> Iterator[str]:
    """What differs in one product."""
    places: list[ResourcePath] = []
    for name, (butler, products) in (("first", one), ("second", other)):
        if key not in products:
            yield f"missing in the {name}"
            return
        place = butler.getURI(products[key])
        if not place.exists():
            yield f"no file in the {name}"
            return
        places.append(place)
    yield from differences_of_files(*places)
