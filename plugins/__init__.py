"""What Airflow's UI gains. Airflow loads the files of this folder in every one of its processes, tasks included: keep them light."""
