"""One file per DAG; its body reads as a sentence. Airflow also puts this folder itself on the module path."""
