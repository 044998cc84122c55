-- The least rights of an account that analyses in place: it reads one table. Beside it, it needs the role
-- roles/bigquery.jobUser of the project, with which it runs queries at all.
grant `roles/bigquery.dataViewer` on table events to "serviceAccount:experiment-pipeline@PROJECT.iam.gserviceaccount.com";
