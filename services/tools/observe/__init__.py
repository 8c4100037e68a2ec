"""What an operator looks at: the list of metrics, dashboards, alerts, and Prometheus on a stack."""
