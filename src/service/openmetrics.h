/*
 * The page of metrics: OpenMetrics text 1.0
 * (github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md), or Prometheus' own
 * text format 0.0.4, which differs in the names of counters' families, units and the end. Names are
 * explained in doc/metrics.md.
 */
#pragma once

#include "base/buf.h"
#include "service/view.h"

enum metrics_format { METRICS_PROMETHEUS, METRICS_OPENMETRICS };

/* By the client's Accept header (RFC 9110 12.5.1): OpenMetrics where it is named and not refused
 * (q=0). */
enum metrics_format metrics_format_for(const char *accept);
const char *metrics_type(enum metrics_format format); /* the Content-Type */
/* 0; -ENOMEM, -ENOBUFS: page is not whole. */
int metrics_write(const struct view *v, enum metrics_format format, struct buf *page);
