"""What exports bring to the assembly: what they are made of, the contexts say."""

from dependency_injector.providers import Provider, Singleton

from adapters.memory.exports import MemoryExports, MemoryExportStore
from adapters.postgres.exports import PostgresExports, PostgresExportStore
from application.exports import EXPORT_PER_ACCOUNT, NOTICES, Exports, erasing, making
from application.ports import ExportStore
from application.retention import Expiring
from domain.exports import Export
from entrypoints.container.made import watched
from entrypoints.container.table import Container
from entrypoints.http.exports import export_routes


def on_postgres(house: Container) -> Container:
    house.repositories.add_kwargs(exports=PostgresExports)
    return _with_exports(house, Singleton(PostgresExportStore, house.database))


def in_memory(house: Container) -> Container:
    house.repositories.add_kwargs(exports=MemoryExports)
    return _with_exports(house, Singleton(MemoryExportStore, house.database))


def _with_exports(house: Container, store: Provider[ExportStore]) -> Container:
    exports = watched(house.observer, Exports, house.work, store, house.limits, house.clock, house.ids)
    house.set_providers(exports=exports, export_store=store)
    house.aggregates.add_args(Export)
    house.policies.add_args(EXPORT_PER_ACCOUNT)
    house.consumers.add_args(Singleton(making, house.exported.provider, store), Singleton(erasing, store))
    house.notices.add_args(*NOTICES)
    house.routes.add_args(Singleton(export_routes, exports))
    house.retention.add_args(Singleton(Expiring, "exports", exports.provided.forget))
    return house
