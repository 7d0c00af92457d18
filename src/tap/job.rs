//! The phases of a job (UWS 1.1, section 2.1.3) as a pure function: [`next`] says where an event leads, or why it may not happen.
//!
//! ```text
//!             Run            Claim             Finish
//!   PENDING ------> QUEUED -------> EXECUTING --------> COMPLETED
//!      |              |  ^ Release      |  |  Fail, Lose
//!      | Abort  Abort |  +--------------+  +----------> ERROR
//!      +-----------> ABORTED <----------+ Abort
//! ```
//!
//! Asking again for what is so already (RUN of a running job, ABORT of an aborted one) is granted and changes nothing: a client whose
//! answer got lost asks twice. A finished job never changes its phase again. The last four phases of the standard are names that a
//! client may ask for in a list; no job of ours is ever in them.
//!
//! A job whose service vanished (`Lose`) becomes an ERROR that says so, because a query that killed a server must not kill the next one;
//! a service that is stopped in order gives its jobs back (`Release`), and they run again from the start.

use std::time::Duration;

/// The execution phases of UWS 1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    Pending,
    Queued,
    Executing,
    Completed,
    Error,
    Aborted,
    Held,
    Suspended,
    Archived,
    Unknown,
}

/// What can happen to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// The client posts PHASE=RUN.
    Run,
    /// The client posts PHASE=ABORT.
    Abort,
    /// The client changes what the job will do (parameters, duration).
    Edit,
    /// A worker takes it out of the queue.
    Claim,
    /// Its worker wrote the whole result.
    Finish,
    /// Its worker met an error.
    Fail,
    /// Its service is stopping and gives it back.
    Release,
    /// Its service is gone.
    Lose,
}

/// An event that the phase does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the job is {}: it cannot be {}{}", phase.name(), event.participle(), remedy(*phase, *event))]
pub struct Refusal {
    pub phase: Phase,
    pub event: Event,
}

impl Phase {
    pub const ALL: [Phase; 10] = [
        Phase::Pending,
        Phase::Queued,
        Phase::Executing,
        Phase::Completed,
        Phase::Error,
        Phase::Aborted,
        Phase::Held,
        Phase::Suspended,
        Phase::Archived,
        Phase::Unknown,
    ];

    /// The name in the standard, in the database and on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Phase::Pending => "PENDING",
            Phase::Queued => "QUEUED",
            Phase::Executing => "EXECUTING",
            Phase::Completed => "COMPLETED",
            Phase::Error => "ERROR",
            Phase::Aborted => "ABORTED",
            Phase::Held => "HELD",
            Phase::Suspended => "SUSPENDED",
            Phase::Archived => "ARCHIVED",
            Phase::Unknown => "UNKNOWN",
        }
    }

    pub fn from_name(name: &str) -> Option<Phase> {
        Self::ALL.into_iter().find(|phase| phase.name().eq_ignore_ascii_case(name))
    }

    /// The phases in which something may still happen, so that it makes sense to wait (UWS 1.1, section 2.2.1.1).
    pub const fn is_active(self) -> bool {
        matches!(self, Phase::Pending | Phase::Queued | Phase::Executing)
    }
}

impl Event {
    pub const ALL: [Event; 8] =
        [Event::Run, Event::Abort, Event::Edit, Event::Claim, Event::Finish, Event::Fail, Event::Release, Event::Lose];

    const fn participle(self) -> &'static str {
        match self {
            Event::Run => "run",
            Event::Abort => "aborted",
            Event::Edit => "changed",
            Event::Claim => "claimed",
            Event::Finish => "finished",
            Event::Fail => "failed",
            Event::Release => "given back",
            Event::Lose => "lost",
        }
    }
}

/// What the client can do instead.
const fn remedy(phase: Phase, event: Event) -> &'static str {
    match (phase, event) {
        (Phase::Completed, Event::Abort) => "; its result is ready, DELETE removes it",
        (Phase::Completed | Phase::Error | Phase::Aborted, Event::Run) => " again; create a new job with the same parameters",
        (Phase::Error | Phase::Aborted, Event::Abort) => "; it has ended, DELETE removes it",
        (Phase::Queued | Phase::Executing, Event::Edit) => "; parameters are fixed once a job runs, create a new one",
        _ => "",
    }
}

/// The phase after `event`, or why it may not happen. Deterministic, and it acts on nothing.
pub const fn next(phase: Phase, event: Event) -> Result<Phase, Refusal> {
    match (phase, event) {
        (Phase::Pending, Event::Edit) => Ok(Phase::Pending),
        (Phase::Pending | Phase::Queued, Event::Run) => Ok(Phase::Queued),
        (Phase::Executing, Event::Run) => Ok(Phase::Executing),
        (Phase::Pending | Phase::Queued | Phase::Executing | Phase::Aborted, Event::Abort) => Ok(Phase::Aborted),
        (Phase::Queued, Event::Claim) => Ok(Phase::Executing),
        (Phase::Executing, Event::Finish) => Ok(Phase::Completed),
        (Phase::Executing, Event::Fail | Event::Lose) => Ok(Phase::Error),
        (Phase::Executing, Event::Release) => Ok(Phase::Queued),
        (phase, event) => Err(Refusal { phase, event }),
    }
}

/// The phases from which `event` is allowed, for the condition of the statement that carries it out.
pub fn sources(event: Event) -> Vec<&'static str> {
    Phase::ALL.into_iter().filter(|&phase| next(phase, event).is_ok()).map(Phase::name).collect()
}

/// What is wrong with a value that a client gave; the texts name the parameter, the value and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{parameter}={value} {wanted}")]
pub struct BadValue {
    pub parameter: &'static str,
    pub value: String,
    pub wanted: String,
}

impl BadValue {
    pub fn new(parameter: &'static str, value: &str, wanted: impl Into<String>) -> BadValue {
        const SHOWN: usize = 80;
        let printable = value.chars().map(|c| if c.is_control() { ' ' } else { c });
        let mut value: String = printable.take(SHOWN + 1).collect();
        if value.chars().count() > SHOWN {
            value = value.chars().take(SHOWN).collect::<String>() + "...";
        }
        BadValue { parameter, value, wanted: wanted.into() }
    }
}

/// How long a client wants to wait, from WAIT: seconds, -1 for as long as the service allows; never more than `most`.
pub fn wait(text: &str, most: Duration) -> Result<Duration, BadValue> {
    let bad = || BadValue::new("WAIT", text, "is not a number of seconds: give 0 or more, or -1 for as long as this service waits");
    match integer(text) {
        Some(-1) => Ok(most),
        Some(seconds) => u64::try_from(seconds).map(|seconds| most.min(Duration::from_secs(seconds))).map_err(|_| bad()),
        None => Err(bad()),
    }
}

/// The run time in force, from EXECUTIONDURATION in seconds: 0 is "no limit of mine", which means the service's own. More than
/// `most` is cut to it, as UWS lets a service do; the client sees what holds in the job.
pub fn duration(text: &str, most: Duration) -> Result<Duration, BadValue> {
    let bad = || BadValue::new("EXECUTIONDURATION", text, "is not a number of seconds: give 0 (this service's limit) or more");
    match integer(text).map(u64::try_from) {
        Some(Ok(0)) => Ok(most),
        Some(Ok(seconds)) => Ok(most.min(Duration::from_secs(seconds))),
        Some(Err(_)) | None => Err(bad()),
    }
}

/// How many jobs of a list, from LAST.
pub fn last(text: &str, most: usize) -> Result<usize, BadValue> {
    let bad = || BadValue::new("LAST", text, "is not a number of jobs: give 1 or more");
    match integer(text).map(usize::try_from) {
        Some(Ok(count)) if count > 0 => Ok(count.min(most)),
        _ => Err(bad()),
    }
}

/// A phase that a client names, in a list or beside WAIT.
pub fn phase(text: &str) -> Result<Phase, BadValue> {
    let names = || Phase::ALL.map(Phase::name).join(", ");
    Phase::from_name(text.trim()).ok_or_else(|| BadValue::new("PHASE", text, format!("is not a phase: {}", names())))
}

/// A moment in seconds and microseconds since 1970 UTC, from ISO 8601 (DALI: `2026-11-22T12:34:56.789Z`, `Z` and the time may be missing).
pub fn moment(parameter: &'static str, text: &str) -> Result<jiff::Timestamp, BadValue> {
    let bad = || BadValue::new(parameter, text, "is not a time: give UTC as 2026-11-22T12:34:56Z");
    let trimmed = text.trim();
    if let Ok(moment) = trimmed.parse::<jiff::Timestamp>() {
        return Ok(moment);
    }
    let civil: jiff::civil::DateTime = trimmed.trim_end_matches(['Z', 'z']).parse().map_err(|_| bad())?;
    // the last day of the year 9999 is a date that clients write for "never", and beyond what a Timestamp holds
    let end = if civil.year() < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    Ok(civil.to_zoned(jiff::tz::TimeZone::UTC).map_or(end, |zoned| zoned.timestamp()))
}

/// When a job is to vanish, from DESTRUCTION: later than `latest` is cut to it; a time that has passed is allowed and means "now".
pub fn destruction(text: &str, now: jiff::Timestamp, latest: jiff::Timestamp) -> Result<jiff::Timestamp, BadValue> {
    moment("DESTRUCTION", text).map(|wanted| wanted.clamp(now, latest))
}

/// Whole numbers of any length: those beyond i64 become its ends.
fn integer(text: &str) -> Option<i64> {
    let text = text.trim();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse::<i64>().map_or(sign * i64::MAX, |number| sign * number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn events() -> impl Strategy<Value = Vec<Event>> {
        proptest::collection::vec(proptest::sample::select(Event::ALL.to_vec()), 0..24)
    }

    /// All phases that a list of events leads through, refused events changing nothing.
    fn path(events: &[Event]) -> Vec<Phase> {
        let mut phases = vec![Phase::Pending];
        for &event in events {
            let phase = *phases.last().expect("it begins with one");
            phases.push(next(phase, event).unwrap_or(phase));
        }
        phases
    }

    proptest! {
        #[test]
        fn what_has_ended_never_changes(events in events(), after in events()) {
            let ended = *path(&events).last().expect("never empty");
            prop_assume!(!ended.is_active());
            for event in after {
                prop_assert_eq!(next(ended, event).unwrap_or(ended), ended);
            }
        }

        #[test]
        fn nothing_completes_without_having_run(events in events()) {
            let phases = path(&events);
            for pair in phases.windows(2).filter(|pair| pair[0] != pair[1]) {
                match pair[1] {
                    Phase::Completed | Phase::Error => prop_assert_eq!(pair[0], Phase::Executing),
                    Phase::Executing => prop_assert_eq!(pair[0], Phase::Queued),
                    _ => {}
                }
            }
        }

        #[test]
        fn no_event_leads_to_a_phase_that_is_only_a_name(events in events()) {
            for phase in path(&events) {
                prop_assert!(!matches!(phase, Phase::Held | Phase::Suspended | Phase::Archived | Phase::Unknown));
            }
        }

        #[test]
        fn asking_twice_is_asking_once(events in events(), asked in proptest::sample::select(vec![Event::Run, Event::Abort, Event::Edit])) {
            let before = *path(&events).last().expect("never empty");
            if let Ok(after) = next(before, asked) {
                prop_assert_eq!(next(after, asked), Ok(after));
            }
        }

        #[test]
        fn every_job_can_be_brought_to_an_end(events in events()) {
            let phase = *path(&events).last().expect("never empty");
            let ended = next(phase, Event::Abort).unwrap_or(phase);
            prop_assert!(!ended.is_active());
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let (now, most) = (jiff::Timestamp::UNIX_EPOCH, Duration::from_secs(60));
            let _ = (wait(&text, most), duration(&text, most), last(&text, 10), phase(&text), destruction(&text, now, now));
        }
    }

    #[test]
    fn absurd_numbers_are_cut_or_refused() {
        let minute = Duration::from_secs(60);
        for (text, seconds) in
            [("0", 0), ("7", 7), ("-1", 60), ("1e9", -1), ("99999999999999999999999", 60), ("-2", -1), ("", -1), ("1.5", -1)]
        {
            assert_eq!(wait(text, minute).map_or(-1, |d| i64::try_from(d.as_secs()).expect("small")), seconds, "{text}");
        }
        assert_eq!(duration("0", minute), Ok(minute));
        assert_eq!(duration("5", minute), Ok(Duration::from_secs(5)));
        assert_eq!(duration("31536000000000000000", minute), Ok(minute));
        assert!(duration("-5", minute).is_err());
        assert_eq!(last("1000000000000000000000", 100), Ok(100));
        assert!(last("0", 100).is_err() && last("-1", 100).is_err());
    }

    #[test]
    fn times_are_read_as_dali_writes_them() {
        let now: jiff::Timestamp = "2026-11-22T00:00:00Z".parse().expect("a time");
        let latest: jiff::Timestamp = "2026-11-29T00:00:00Z".parse().expect("a time");
        for (text, read) in [
            ("2026-11-23T01:02:03Z", "2026-11-23T01:02:03Z"),
            ("2026-11-23T01:02:03", "2026-11-23T01:02:03Z"),
            ("2026-11-23", "2026-11-23T00:00:00Z"),
            ("2026-11-23T01:02:03.5Z", "2026-11-23T01:02:03.5Z"),
            ("9999-12-31T23:59:59", "2026-11-29T00:00:00Z"),
            ("1066-10-14T00:00:00Z", "2026-11-22T00:00:00Z"),
        ] {
            assert_eq!(destruction(text, now, latest).expect(text).to_string(), read);
        }
        assert!(destruction("tomorrow", now, latest).is_err());
        assert!(destruction("99999-01-01T00:00:00Z", now, latest).is_err());
    }

    #[test]
    fn refusals_say_what_to_do() {
        let refusal = next(Phase::Completed, Event::Run).expect_err("it has run");
        assert_eq!(refusal.to_string(), "the job is COMPLETED: it cannot be run again; create a new job with the same parameters");
        let refusal = next(Phase::Executing, Event::Edit).expect_err("it runs");
        assert_eq!(
            refusal.to_string(),
            "the job is EXECUTING: it cannot be changed; parameters are fixed once a job runs, create a new one"
        );
    }
}
