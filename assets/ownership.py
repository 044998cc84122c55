"""Owners of the assets, as the installation names them."""

from collections.abc import Sequence

import dagster as dg


def with_owners(assets: Sequence[dg.AssetsDefinition], owners: Sequence[str]) -> list[dg.AssetsDefinition]:
    """Return the assets with their owners: `team:<name>`, or e-mail addresses."""

    def owned(spec: dg.AssetSpec) -> dg.AssetSpec:
        return spec.replace_attributes(owners=owners)

    return [each.map_asset_specs(owned) for each in assets]
