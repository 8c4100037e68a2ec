"""The dashboards behind trading: features and models, and the machines' side of it all."""

from typing import Final

from services.tools.observe.panels import (
    Dashboard,
    Panel,
    level,
    per_second,
    per_second_or_none,
    quantile,
)

ML: Final = Dashboard(
    "ml",
    "Outcry: features and models",
    "How fresh are features, what does the model say, and does it still hold?",
    (
        Panel(
            "Model that serves",
            "Version by alias; 0: none.",
            "short",
            (level("outcry_inference_model_version", "alias"),),
            is_figure=True,
        ),
        Panel(
            "Refused versions",
            "1: the registry's version of the alias is refused, and the one before serves on.",
            "short",
            (level("outcry_inference_model_refused", "alias"),),
            is_figure=True,
        ),
        Panel(
            "Served vectors that are wrong",
            "Of parity's last window. Must be 0.",
            "short",
            (level("sum(outcry_drift_parity_mismatches) or vector(0)", ""),),
            is_figure=True,
        ),
        Panel(
            "Feature rows",
            "Each second.",
            "short",
            (per_second("outcry_feature_rows_total", "feature_set"),),
        ),
        Panel(
            "Age of features",
            "Now less the grid time of the newest row. It grows where nothing trades.",
            "s",
            (level("max by (ticker) (outcry_feature_event_age_seconds)", "ticker"),),
        ),
        Panel(
            "Since the newest row",
            "Became durable, by ticker.",
            "s",
            (level("max by (ticker) (outcry_feature_row_age_seconds)", "ticker"),),
        ),
        Panel(
            "Writing features",
            "Until a batch's rows are durable, and one write to the online store.",
            "s",
            (
                quantile(0.99, "outcry_feature_write_seconds"),
                quantile(0.99, "outcry_online_write_seconds", "room"),
            ),
        ),
        Panel(
            "Rows stored",
            "Each second: online, and in the lake.",
            "short",
            (
                per_second("outcry_rows_online_total", "feature_set"),
                per_second("outcry_rows_in_lake_total", "room"),
            ),
        ),
        Panel(
            "Rows that wait for the lake",
            "Now.",
            "short",
            (level("outcry_lake_rows_waiting", "room"),),
        ),
        Panel(
            "Rows passed over",
            "Each second, by cause.",
            "short",
            (per_second_or_none("outcry_rows_passed_over_total", "cause"),),
        ),
        Panel(
            "Predictions",
            "Each second.",
            "short",
            (per_second_or_none("outcry_inference_predictions_total", "mode, alias"),),
        ),
        Panel(
            "Rows of the stream",
            "Each second, by what became of them.",
            "short",
            (per_second_or_none("outcry_inference_stream_rows_total", "outcome"),),
        ),
        Panel(
            "Time to predict",
            "From request to answer.",
            "s",
            tuple(quantile(share, "outcry_inference_request_seconds") for share in (0.5, 0.99)),
        ),
        Panel(
            "Age of what was predicted from",
            "On request.",
            "s",
            (quantile(0.99, "outcry_inference_feature_age_seconds"),),
        ),
        Panel(
            "Predictions lost",
            "In an hour, by cause. Must be 0.",
            "short",
            (
                level(
                    "sum by (cause) (increase(outcry_inference_predictions_lost_total[1h]))",
                    "cause",
                ),
            ),
        ),
        Panel(
            "Alarms of drift",
            "1: the job's newest window alarms.",
            "short",
            (level("max by (job, version) (outcry_drift_alarming) or vector(0)", "job, version"),),
        ),
        Panel(
            "Windows that alarmed",
            "In an hour, by kind of change.",
            "short",
            (
                level(
                    "sum by (job, family) (increase(outcry_drift_alarms_total[1h]))",
                    "job, family",
                ),
            ),
        ),
        Panel(
            "How far it drifted",
            "Greatest statistic through its threshold: above 1 is drift, and of the job"
            " `performance` a model that has fallen.",
            "short",
            (level("max by (job, ticker) (outcry_drift_ratio) or vector(0)", "job, ticker"),),
        ),
        Panel(
            "Macro-F1",
            "Of the version that serves, in the newest window of performance, by ticker and of all"
            " together; 0: none was judged.",
            "short",
            (level('outcry_drift_score{score="macro_f1"} or vector(0)', "ticker"),),
        ),
        Panel(
            "Runs of drift's jobs",
            "In an hour, by how they ended.",
            "short",
            (
                level(
                    "sum by (job, ending) (increase(outcry_drift_runs_total[1h])) or vector(0)",
                    "job, ending",
                ),
            ),
        ),
    ),
)

INFRASTRUCTURE: Final = Dashboard(
    "infrastructure",
    "Outcry: the machines' side",
    "Who runs, who died, and what does it cost?",
    (
        Panel(
            "Answering",
            "1: its metrics could be read.",
            "short",
            (level('up{job="outcry"}', "room"),),
        ),
        Panel(
            "Processes of the stack",
            "1: runs and is ready.",
            "short",
            (level("outcry_stack_component_up", "component"),),
        ),
        Panel(
            "Restarts",
            "Starts of each room in an hour, beside the first.",
            "short",
            (
                level(
                    'sum by (room) (changes(process_start_time_seconds{job="outcry"}[1h]))', "room"
                ),
            ),
        ),
        Panel(
            "Restarts by the supervisor",
            "In an hour.",
            "short",
            (level("increase(outcry_stack_component_restarts_total[1h])", "component"),),
        ),
        Panel(
            "Processor time",
            "Cores used.",
            "short",
            (per_second("process_cpu_seconds_total", "room", '{job="outcry"}'),),
        ),
        Panel(
            "Memory of rooms",
            "In use.",
            "bytes",
            (level('sum by (room) (process_resident_memory_bytes{job="outcry"})', "room"),),
        ),
        Panel(
            "Memory of the stack",
            "Kafka, registry and PostgreSQL too; shared pages once.",
            "bytes",
            (level("outcry_stack_component_memory_bytes", "component"),),
        ),
        Panel(
            "Open files",
            "Share of what is allowed.",
            "percentunit",
            (level('process_open_fds{job="outcry"} / process_max_fds{job="outcry"}', "room"),),
        ),
        Panel(
            "Standing by",
            "1: follows another, ready to take over.",
            "short",
            (level("outcry_standing_by", "room, instance"),),
        ),
        Panel(
            "Snapshots lost",
            "In an hour: superseded, or the store was away.",
            "short",
            (
                level(
                    "sum by (room, cause) (increase(outcry_snapshots_lost_total[1h])) or vector(0)",
                    "room, cause",
                ),
            ),
        ),
        Panel(
            "Time of a scrape",
            "Of each room's metrics.",
            "s",
            (level('scrape_duration_seconds{job="outcry"}', "room"),),
        ),
        Panel(
            "Series",
            "Of each room.",
            "short",
            (level('scrape_samples_scraped{job="outcry"}', "room"),),
        ),
    ),
)
