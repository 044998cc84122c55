"""Tables of erasures: what must not come back, the sizes of rewritten landing objects, and who was counted where."""

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, String, Table, UniqueConstraint

from experiment_pipeline.registry.columns import UtcDateTime, metadata

erasure_key = Table(  # of the hash; one row, or none yet
    "erasure_key",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("secret", String(64), nullable=False),  # 32 random bytes, in hexadecimal digits
)

erasures = Table(  # one row for each identity and environment, however often it is erased
    "erasures",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("environment_key", String(255), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("erased_at", UtcDateTime, nullable=False),
    Column("completed_at", UtcDateTime),  # null: begun, to be gone on with
    UniqueConstraint("environment_key", "digest"),
    sqlite_autoincrement=True,
)

erased_objects = Table(  # while an erasure goes on: the size that a landing object gets, or has got
    "erased_objects",
    metadata,
    Column("erasure_id", ForeignKey("erasures.id"), primary_key=True),
    Column("name", String(1024), primary_key=True),
    Column("bytes", BigInteger, nullable=False),
)

erased_exposures = Table(  # the experiments' phases whose last refresh had counted the identity (rule R9)
    "erased_exposures",
    metadata,
    Column("erasure_id", ForeignKey("erasures.id"), primary_key=True),
    Column("experiment_id", ForeignKey("experiments.id"), primary_key=True),
    Column("phase", Integer, primary_key=True, autoincrement=False),
    Column("erased_at", UtcDateTime, nullable=False),
)
