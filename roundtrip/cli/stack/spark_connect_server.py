"""Program of the Spark server: `spark-submit spark_connect_server.py`. Spark Connect is served by the plugin that spark.conf names.

Spark's own SparkConnectServer gives every session a class loader, whatever spark.conf says. So nothing that was generated and compiled
for one session is used by the next: a query of a second session takes 47 s of CPU time, and 27 to 30 s here (Spark 4.2.0).
"""

from __future__ import annotations

import sys

from pyspark.sql import SparkSession

if __name__ == "__main__":
    SparkSession.builder.getOrCreate()
    sys.stdin.read()  # ends with the JVM that started this process
