//! `/metrics`: a status in the words of Prometheus, in the format that the scraper asks for. Labels are bounded: names
//! of tunnels and forwards from the config, phases, failure kinds and directions.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeGaugeValue, EncodeLabelSet, EncodeMetric, prometheus_text, text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::lifecycle::Phase;
use crate::protocol::status::{Status, TunnelStatus};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// With its `# EOF`.
    OpenMetrics,
    /// 0.0.4, which every scraper reads, and `promtool check metrics`.
    Prometheus,
}

impl Format {
    /// By the request's Accept header. OpenMetrics where it is named, and where the header is missing.
    pub(super) fn of(accept: Option<&str>) -> Self {
        let Some(accept) = accept else { return Self::OpenMetrics };
        let quality = |wanted: &str| {
            let ranges =
                accept.split(',').filter(|range| range.split(';').next().is_some_and(|kind| kind.trim() == wanted));
            ranges.map(quality_of).max_by(f64::total_cmp)
        };
        match (quality("application/openmetrics-text"), quality("text/plain")) {
            (Some(open), plain) if open > 0.0 && open >= plain.unwrap_or(0.0) => Self::OpenMetrics,
            _ => Self::Prometheus,
        }
    }

    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => prometheus_text::CONTENT_TYPE,
        }
    }
}

/// The `q` of a range of Accept (RFC 9110 section 12.4.2).
fn quality_of(range: &str) -> f64 {
    let weight = range.split(';').filter_map(|parameter| parameter.trim().strip_prefix("q=")).next();
    weight.map_or(1.0, |weight| weight.parse().unwrap_or(0.0))
}

pub(super) fn write(status: Arc<Status>, format: Format) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Exposition { status, format }));
    let mut written = String::new();
    match format {
        Format::OpenMetrics => text::encode(&mut written, &registry)?,
        Format::Prometheus => prometheus_text::encode(&mut written, &registry)?,
    }
    Ok(written)
}

#[derive(Debug)]
struct Exposition {
    status: Arc<Status>,
    format: Format,
}

impl Collector for Exposition {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        build_info(&mut encoder, &self.status.version)?;
        tasks(&mut encoder)?;
        self.tunnels(&mut encoder)?;
        self.forwards(&mut encoder)
    }
}

impl Exposition {
    fn tunnels(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let tunnels = || self.status.tunnels.iter().map(|tunnel| ([("tunnel", tunnel.name.as_str())], tunnel));
        gauges(
            encoder,
            ("tunneld_tunnel_ready", "Whether the tunnel is up with every forward in place", None),
            tunnels().map(|(label, tunnel)| (label, u64::from(tunnel.ready))),
        )?;
        gauges(
            encoder,
            ("tunneld_tunnel_phase", "The phase of the tunnel: 1 for the one it is in", None),
            self.status.tunnels.iter().flat_map(phases),
        )?;
        counters(
            encoder,
            ("tunneld_session_starts", "Starts: attempts to bring the tunnel's session up", None),
            tunnels().map(|(label, tunnel)| (label, tunnel.starts_total)),
        )?;
        counters(
            encoder,
            ("tunneld_session_failures", "Failures of starts, sessions and forwards, by kind", None),
            self.status.tunnels.iter().flat_map(failures),
        )?;
        let rtt = |tunnel: &TunnelStatus| tunnel.session.as_ref().and_then(|session| session.rtt_ms);
        gauges(
            encoder,
            ("tunneld_session_rtt", "The last round trip to the server and back", Some(Unit::Seconds)),
            tunnels().filter_map(|(label, tunnel)| Some((label, rtt(tunnel)? / 1e3))),
        )
    }

    fn forwards(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let forwards = || {
            self.status.tunnels.iter().flat_map(|tunnel| {
                tunnel
                    .forwards
                    .iter()
                    .map(|forward| ([("tunnel", tunnel.name.as_str()), ("forward", forward.name.as_str())], forward))
            })
        };
        gauges(
            encoder,
            ("tunneld_forward_ready", "Whether the forward is in place, and not disproven", None),
            forwards().map(|(labels, forward)| (labels, u64::from(forward.is_in_place()))),
        )?;
        gauges(
            encoder,
            (
                "tunneld_forward_connections",
                "Connections now: being opened or carried (active), or waiting for a session (held)",
                None,
            ),
            forwards().flat_map(|(labels, forward)| {
                [("active", forward.active), ("held", forward.held)]
                    .map(|(state, count)| (with(labels, ("state", state)), count))
            }),
        )?;
        const OPENED: &str = "Connections carried so far, those of now included";
        let opened = forwards().map(|(labels, forward)| (labels, forward.opened));
        match self.format {
            // In OpenMetrics a counter takes the name without `_total` as well, which is the gauge's above.
            Format::OpenMetrics => {
                let untyped = opened.map(|(labels, value)| (labels, ConstGauge::new(value)));
                encode(encoder, ("tunneld_forward_connections_total", OPENED, None), MetricType::Unknown, untyped)?;
            }
            Format::Prometheus => counters(encoder, ("tunneld_forward_connections", OPENED, None), opened)?,
        }
        counters(
            encoder,
            ("tunneld_forward", "Bytes towards the listener's peer (in), and from it (out)", Some(Unit::Bytes)),
            forwards().flat_map(|(labels, forward)| {
                [("in", forward.bytes_in), ("out", forward.bytes_out)]
                    .map(|(direction, bytes)| (with(labels, ("direction", direction)), bytes))
            }),
        )
    }
}

fn phases(tunnel: &TunnelStatus) -> impl Iterator<Item = ([(&str, &str); 2], u64)> {
    Phase::ALL.into_iter().map(|phase| {
        let labels = [("tunnel", tunnel.name.as_str()), ("phase", phase.as_str())];
        (labels, u64::from(tunnel.phase == phase))
    })
}

/// Of the kinds that have occurred.
fn failures(tunnel: &TunnelStatus) -> impl Iterator<Item = ([(&str, &str); 2], u64)> {
    tunnel.failures.iter().map(|(kind, count)| ([("tunnel", tunnel.name.as_str()), ("kind", kind.as_str())], *count))
}

fn with<'a>(labels: [(&'a str, &'a str); 2], last: (&'a str, &'a str)) -> [(&'a str, &'a str); 3] {
    let [tunnel, forward] = labels;
    [tunnel, forward, last]
}

/// Name (without its unit), help and unit of a family.
type Family = (&'static str, &'static str, Option<Unit>);

fn gauges<L: EncodeLabelSet, N: EncodeGaugeValue>(
    encoder: &mut DescriptorEncoder<'_>,
    family: Family,
    samples: impl Iterator<Item = (L, N)>,
) -> fmt::Result {
    encode(encoder, family, MetricType::Gauge, samples.map(|(labels, value)| (labels, ConstGauge::new(value))))
}

fn counters<L: EncodeLabelSet>(
    encoder: &mut DescriptorEncoder<'_>,
    family: Family,
    samples: impl Iterator<Item = (L, u64)>,
) -> fmt::Result {
    encode(encoder, family, MetricType::Counter, samples.map(|(labels, value)| (labels, ConstCounter::new(value))))
}

fn encode<L: EncodeLabelSet, M: EncodeMetric>(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help, unit): Family,
    kind: MetricType,
    samples: impl Iterator<Item = (L, M)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, unit.as_ref(), kind)?;
    for (labels, value) in samples {
        value.encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

fn build_info(encoder: &mut DescriptorEncoder<'_>, version: &str) -> fmt::Result {
    let info = Info::new([("version", version)]);
    info.encode(encoder.encode_descriptor("tunneld_build", "The running tunneld", None, MetricType::Info)?)
}

/// A number that only grows would be a leak that shows here before it shows in the memory.
fn tasks(encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return Ok(()) };
    let gauge = ConstGauge::new(u64::try_from(runtime.metrics().num_alive_tasks()).unwrap_or(u64::MAX));
    gauge.encode(encoder.encode_descriptor("tunneld_tasks", "Tasks of the daemon", None, MetricType::Gauge)?)
}

#[cfg(test)]
mod tests {
    use tunnel_engine::failure::FailureKind;

    use super::*;
    use crate::protocol::status::example;

    fn status() -> Arc<Status> {
        let mut tunnel = example::tunnel("web-db", "up", true);
        tunnel.starts_total = 5;
        tunnel.failures = [(FailureKind::Dns.into(), 2)].into();
        tunnel.forwards = vec![example::forward("-L /run/a \"b\"\\c", "up")];
        Arc::new(example::status(vec![tunnel]))
    }

    #[test]
    fn both_formats_have_every_name_of_the_contract() {
        for format in [Format::OpenMetrics, Format::Prometheus] {
            let text = write(status(), format).unwrap();
            for sample in [
                "tunneld_build_info{version=\"0.1.0\"} 1",
                "tunneld_tunnel_ready{tunnel=\"web-db\"} 1",
                "tunneld_tunnel_phase{tunnel=\"web-db\",phase=\"up\"} 1",
                "tunneld_tunnel_phase{tunnel=\"web-db\",phase=\"backoff\"} 0",
                "tunneld_session_starts_total{tunnel=\"web-db\"} 5",
                "tunneld_session_failures_total{tunnel=\"web-db\",kind=\"dns\"} 2",
            ] {
                assert!(text.lines().any(|line| line == sample), "{sample}\n{text}");
            }
            let forward = "{tunnel=\"web-db\",forward=\"-L /run/a \\\"b\\\"\\\\c\"";
            for sample in [
                format!("tunneld_forward_ready{forward}}} 1"),
                format!("tunneld_forward_connections{forward},state=\"active\"}} 2"),
                format!("tunneld_forward_connections{forward},state=\"held\"}} 0"),
                format!("tunneld_forward_connections_total{forward}}} 17"),
                format!("tunneld_forward_bytes_total{forward},direction=\"in\"}} 10"),
                format!("tunneld_forward_bytes_total{forward},direction=\"out\"}} 20"),
            ] {
                assert!(text.lines().any(|line| line == sample), "{sample}\n{text}");
            }
        }
    }

    #[test]
    fn no_family_has_its_name_twice() {
        for format in [Format::OpenMetrics, Format::Prometheus] {
            let text = write(status(), format).unwrap();
            let mut names: Vec<&str> =
                text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
            let all = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!((all, names.len()), (10, 10), "{text}");
            assert_eq!(text.ends_with("# EOF\n"), format == Format::OpenMetrics);
        }
    }

    #[test]
    fn format_follows_the_accept_header() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(Format::of(None), Format::OpenMetrics);
        assert_eq!(Format::of(Some(prometheus)), Format::OpenMetrics);
        for accept in [
            "*/*",
            "text/plain",
            "text/html,*/*;q=0.8",
            "application/openmetrics-text;q=0",
            "",
            "text/plain, application/openmetrics-text; q=0.1",
        ] {
            assert_eq!(Format::of(Some(accept)), Format::Prometheus, "{accept}");
        }
    }
}
