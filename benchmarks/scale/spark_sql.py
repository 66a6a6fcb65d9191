"""The catalogue in Spark SQL: DuckDB's query, which orders the rows itself, in Spark's dialect."""

import os

import pyarrow as pa
import sqlglot
from pyspark.sql import SparkSession

from benchmarks.features.plan import Plan
from benchmarks.features.sql import ORDERED_NEIGHBOURS, query

_FILE = "read_parquet('{path}', file_row_number = true)"
_MOMENTS = ("transaction_date", "user_created")


def compute(plan: Plan) -> pa.Table:
    """Compute the plan's indicators on all processors of this machine; the result comes to the driver as Arrow."""
    builder = SparkSession.builder.master(f"local[{os.cpu_count()}]").config("spark.ui.enabled", "false")
    session = builder.config("spark.driver.memory", "8g").config("spark.sql.session.timeZone", "UTC").getOrCreate()
    frame = session.read.parquet(plan.path)
    for name in _MOMENTS:
        frame = frame.withColumn(name, frame[name].cast("timestamp"))
    frame.createOrReplaceTempView("transactions")
    rates = [(code, float(rate)) for code, rate in plan.per_unit.items()]
    session.createDataFrame(rates, "code string, per_unit double").createOrReplaceTempView("rates")
    return session.sql(spark_query(plan)).toArrow()


def spark_query(plan: Plan) -> str:
    """Write DuckDB's query for Spark."""
    duckdb = query(plan, ORDERED_NEIGHBOURS).replace(_FILE.format(path=plan.path.replace("'", "''")), "transactions")
    duckdb = duckdb.replace(" file_row_number AS place,", " 0 AS place,")
    (spark,) = sqlglot.transpile(duckdb, read="duckdb", write="spark")
    return spark.replace("EPOCH_US(", "unix_micros(")


def as_arrow(result: pa.Table) -> pa.Table:
    """Give the result as it is."""
    return result
