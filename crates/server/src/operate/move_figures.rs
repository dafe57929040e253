//! Figures of a live move, as this process sees it.

use std::borrow::Cow;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use repot_engine::moving::{MoveSeen, Stage};

type Gauges = Family<[(&'static str, Cow<'static, str>); 0], Gauge>;
type CountsBy = Family<[(&'static str, Cow<'static, str>); 1], Counter>;
type GaugesBy = Family<[(&'static str, Cow<'static, str>); 1], Gauge>;

/// What is told of a move; nothing of it is there while there is none.
#[derive(Debug, Default)]
pub(super) struct MoveFigures {
    stage: GaugesBy,
    share: Gauges,
    reads_share: Gauges,
    compared_share: Gauges,
    compared: CountsBy,
    behind: Gauges,
    behind_seconds: Gauges,
    stopped: Gauges,
    stop_waits: Gauges,
}

impl MoveFigures {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "repot_move_stage",
            "1 for the stage of the move: following, comparing, rolling_out_reads, rolling_out, database",
            self.stage.clone(),
        );
        registry.register(
            "repot_move_compared_reads",
            "Reads of this process that were compared, by outcome",
            self.compared.clone(),
        );
        for (name, about, gauge) in [
            ("repot_move_share_permille", "Of a thousand slots the database leads so many", &self.share),
            (
                "repot_move_reads_permille",
                "Of a thousand slots the database answers the reads of so many while the files lead them",
                &self.reads_share,
            ),
            (
                "repot_move_compared_permille",
                "Of a thousand reads so many are compared",
                &self.compared_share,
            ),
            ("repot_move_behind_documents", "Documents whose copies may be stale", &self.behind),
            ("repot_move_behind_seconds", "How long the oldest of these waits", &self.behind_seconds),
            ("repot_move_stopped", "1: the guard stopped the rollout", &self.stopped),
            ("repot_move_stop_waits", "1: it is to be stopped, and the database is away", &self.stop_waits),
        ] {
            registry.register(name, about, gauge.clone());
        }
    }

    pub(super) fn set(&self, seen: Option<&MoveSeen>) {
        self.stage.clear();
        self.compared.clear();
        let numbers = seen.map(|seen| {
            [
                u64::from(seen.control.leads.led.slots),
                seen.control.leads.reads.slots.into(),
                seen.control.compared.into(),
                seen.behind,
                u64::try_from(seen.lag_ms.unwrap_or_default()).unwrap_or_default() / 1_000,
                seen.control.guard.stopped.is_some().into(),
                seen.wants_back.is_some().into(),
            ]
        });
        let gauges = [
            &self.share,
            &self.reads_share,
            &self.compared_share,
            &self.behind,
            &self.behind_seconds,
            &self.stopped,
            &self.stop_waits,
        ];
        for (at, gauge) in gauges.into_iter().enumerate() {
            gauge.clear();
            if let Some(number) = numbers.as_ref().and_then(|numbers| numbers.get(at)) {
                gauge.get_or_create(&[]).set(i64::try_from(*number).unwrap_or(i64::MAX));
            }
        }
        let Some(seen) = seen else { return };
        let stage = match seen.control.stage() {
            Stage::Following => "following",
            Stage::Comparing => "comparing",
            Stage::RollingOutReads(_) => "rolling_out_reads",
            Stage::RollingOut(_) => "rolling_out",
            Stage::Database => "database",
        };
        self.stage.get_or_create(&[("stage", stage.into())]).set(1);
        let compared = &seen.compared;
        for (outcome, count) in [
            ("same", compared.same),
            ("different", compared.different),
            ("text_only", compared.text_only),
            ("in_motion", compared.in_motion),
            ("stale", compared.stale),
            ("dropped", compared.dropped),
        ] {
            // it is counted where reads are compared
            self.compared.get_or_create(&[("outcome", outcome.into())]).inc_by(count);
        }
    }
}
