"""Parse the DAG files of a folder as Airflow's dag-processor does, without its database: prints {file: error} as JSON on the last line."""

import json
import sys

from airflow.dag_processing.dagbag import DagBag

if __name__ == "__main__":
    bag = DagBag(sys.argv[1])
    print(json.dumps(bag.import_errors))
