//! What a job can be and what becomes of it: a pure function, the model that the SQL of `sql/pipeline/` is tested against.
//!
//! ```text
//! blocked -> ready -> running -> done
//!              ^         |-> retry_wait -> ready
//!              |         `-> failed         (a budget is used up)
//!              `--- retry (a person's) --- failed, cancelled, retry_wait
//! cancelled from every state that has not ended, skipped from every state that does not run and is not done
//! ```
//!
//! Only `done` and `skipped` are final. Attempts are numbered from 1; a report counts only if its attempt is the one that runs
//! and its worker is the one that holds it, so that a worker that was given up can never change anything (the fence).

use serde::{Deserialize, Serialize};

/// What a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Blocked,
    Ready,
    Running,
    RetryWait,
    Done,
    Failed,
    Cancelled,
    Skipped,
}

impl State {
    pub const ALL: [State; 8] =
        [State::Ready, State::Running, State::Done, State::Failed, State::Blocked, State::RetryWait, State::Cancelled, State::Skipped];

    /// As in PostgreSQL's enum `pipeline.job_state`.
    pub fn name(self) -> &'static str {
        match self {
            State::Blocked => "blocked",
            State::Ready => "ready",
            State::Running => "running",
            State::RetryWait => "retry_wait",
            State::Done => "done",
            State::Failed => "failed",
            State::Cancelled => "cancelled",
            State::Skipped => "skipped",
        }
    }

    pub fn from_name(name: &str) -> Option<State> {
        State::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// How an attempt can fail; each class has a budget of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// The worker gave no sign of life until the lease passed.
    Lost,
    /// The worker was told to go (SIGTERM, spot notice) before the end.
    Preempted,
    /// Out of memory; the next attempt gets half as much again.
    Oom,
    /// An exit code other than 0, or a signal.
    Exit,
    /// An exit code that the task calls fatal: the same again would end the same.
    Fatal,
    /// Longer than the task may run.
    Timeout,
    /// Inputs could not be had, outputs could not be stored, no room on disk.
    Staging,
}

impl Class {
    pub const ALL: [Class; 7] = [Class::Lost, Class::Preempted, Class::Oom, Class::Exit, Class::Fatal, Class::Timeout, Class::Staging];

    pub fn name(self) -> &'static str {
        match self {
            Class::Lost => "lost",
            Class::Preempted => "preempted",
            Class::Oom => "oom",
            Class::Exit => "exit",
            Class::Fatal => "fatal",
            Class::Timeout => "timeout",
            Class::Staging => "staging",
        }
    }

    pub fn from_name(name: &str) -> Option<Class> {
        Class::ALL.into_iter().find(|class| class.name() == name)
    }

    /// Retries unless the task says otherwise.
    pub fn retries(self) -> u32 {
        match self {
            Class::Lost | Class::Preempted => 20,
            Class::Oom => 3,
            Class::Exit => 2,
            Class::Fatal => 0,
            Class::Timeout => 1,
            Class::Staging => 5,
        }
    }

    /// Seconds before the first retry, doubled at each one more, unless the task says otherwise.
    pub fn backoff_s(self) -> u32 {
        match self {
            Class::Lost | Class::Preempted | Class::Oom | Class::Fatal | Class::Timeout => 0,
            Class::Exit => 30,
            Class::Staging => 10,
        }
    }
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Done,
    Failed(Class),
    Cancelled,
}

impl Outcome {
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Done => "done",
            Outcome::Failed(class) => class.name(),
            Outcome::Cancelled => "cancelled",
        }
    }
}

/// The answer to a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is so now.
    Ok,
    /// It was so before: the same report again.
    Already,
    /// The attempt was given up, or is another's: drop the job.
    Fenced,
    /// There is no such attempt.
    Unknown,
}

impl Verdict {
    pub fn from_name(name: &str) -> Option<Verdict> {
        Some(match name {
            "ok" => Verdict::Ok,
            "already" => Verdict::Already,
            "fenced" => Verdict::Fenced,
            "unknown" => Verdict::Unknown,
            _ => return None,
        })
    }
}

/// What happens to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    Admit,
    Claim {
        worker: i64,
    },
    Complete {
        worker: i64,
        attempt: u32,
    },
    Fail {
        worker: i64,
        attempt: u32,
        class: Class,
        exit_code: Option<i32>,
    },
    /// The sweeper finds the lease passed.
    LeasePasses,
    /// The sweeper finds the pause over.
    Wake,
    Retry,
    Skip,
    Cancel,
}

/// What a task says about failures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    pub retries: [u32; 7],
    pub backoff_s: [u32; 7],
    pub fatal_codes: Vec<i32>,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy { retries: Class::ALL.map(Class::retries), backoff_s: Class::ALL.map(Class::backoff_s), fatal_codes: vec![1, 2] }
    }
}

fn index(class: Class) -> usize {
    Class::ALL.iter().position(|c| *c == class).unwrap_or(0)
}

/// A job with its attempts: who held each, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    pub state: State,
    pub attempts: Vec<(i64, Option<Outcome>)>,
    /// Attempts up to this one do not count against budgets.
    pub budget_from: usize,
    /// A member of a barrier, satisfied: by an attempt, or 0 for a skip.
    pub satisfied_by: Option<u32>,
}

impl Job {
    pub fn new(state: State) -> Job {
        Job { state, attempts: Vec::new(), budget_from: 0, satisfied_by: None }
    }

    /// The job after the event, and the verdict on it. An event that does not fit the state changes nothing.
    pub fn next(mut self, event: Event, policy: &Policy) -> (Job, Verdict) {
        let fits = match (event, self.state) {
            (Event::Admit, State::Blocked) => self.to(State::Ready),
            (Event::Claim { worker }, State::Ready) => {
                self.attempts.push((worker, None));
                self.to(State::Running)
            }
            (Event::LeasePasses, State::Running) => self.settle(Class::Lost, policy),
            (Event::Wake, State::RetryWait) => self.to(State::Ready),
            (Event::Retry, State::Failed | State::Cancelled | State::RetryWait) => {
                self.budget_from = self.attempts.len();
                self.to(State::Ready)
            }
            (Event::Skip, State::Blocked | State::Ready | State::RetryWait | State::Failed | State::Cancelled) => {
                self.satisfied_by = self.satisfied_by.or(Some(0));
                self.to(State::Skipped)
            }
            (Event::Cancel, State::Running) => {
                self.end(Outcome::Cancelled);
                self.to(State::Cancelled)
            }
            (Event::Cancel, State::Blocked | State::Ready | State::RetryWait) => self.to(State::Cancelled),
            (Event::Complete { worker, attempt }, _) => return self.complete(worker, attempt),
            (Event::Fail { worker, attempt, class, exit_code }, _) => {
                return self.fail(worker, attempt, real_class(class, exit_code, policy), class, policy);
            }
            _ => false,
        };
        (self, if fits { Verdict::Ok } else { Verdict::Fenced })
    }

    fn to(&mut self, state: State) -> bool {
        self.state = state;
        true
    }

    fn end(&mut self, outcome: Outcome) {
        if let Some(last) = self.attempts.last_mut() {
            last.1 = Some(outcome);
        }
    }

    /// The attempt's worker and outcome, if there is such an attempt.
    fn attempt(&self, attempt: u32) -> Option<(i64, Option<Outcome>)> {
        self.attempts.get((attempt as usize).checked_sub(1)?).copied()
    }

    fn complete(mut self, worker: i64, attempt: u32) -> (Job, Verdict) {
        let verdict = match self.attempt(attempt) {
            None => Verdict::Unknown,
            Some((owner, _)) if owner != worker => Verdict::Fenced,
            Some((_, Some(Outcome::Done))) => Verdict::Already,
            Some((_, Some(_))) => Verdict::Fenced,
            Some((_, None)) => {
                self.end(Outcome::Done);
                self.satisfied_by = self.satisfied_by.or(Some(attempt));
                self.state = State::Done;
                Verdict::Ok
            }
        };
        (self, verdict)
    }

    fn fail(mut self, worker: i64, attempt: u32, class: Class, said: Class, policy: &Policy) -> (Job, Verdict) {
        let verdict = match self.attempt(attempt) {
            None => Verdict::Unknown,
            Some((owner, _)) if owner != worker => Verdict::Fenced,
            Some((_, Some(Outcome::Failed(was)))) if was == said || (was == Class::Fatal && said == Class::Exit) => Verdict::Already,
            Some((_, Some(_))) => Verdict::Fenced,
            Some((_, None)) => {
                self.settle(class, policy);
                Verdict::Ok
            }
        };
        (self, verdict)
    }

    /// Ends the running attempt; the budget says what follows.
    fn settle(&mut self, class: Class, policy: &Policy) -> bool {
        self.end(Outcome::Failed(class));
        let same = self.attempts[self.budget_from..].iter().filter(|(_, o)| *o == Some(Outcome::Failed(class))).count();
        self.state = match (same > policy.retries[index(class)] as usize, policy.backoff_s[index(class)]) {
            (true, _) => State::Failed,
            (false, 0) => State::Ready,
            (false, _) => State::RetryWait,
        };
        true
    }
}

fn real_class(class: Class, exit_code: Option<i32>, policy: &Policy) -> Class {
    match (class, exit_code) {
        (Class::Exit, Some(code)) if policy.fatal_codes.contains(&code) => Class::Fatal,
        _ => class,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running() -> Job {
        Job::new(State::Ready).next(Event::Claim { worker: 7 }, &Policy::default()).0
    }

    #[test]
    fn a_worker_that_was_given_up_changes_nothing() {
        let lost = running().next(Event::LeasePasses, &Policy::default()).0;
        assert_eq!(lost.state, State::Ready);
        let (same, verdict) = lost.clone().next(Event::Complete { worker: 7, attempt: 1 }, &Policy::default());
        assert_eq!((same, verdict), (lost, Verdict::Fenced));
    }

    #[test]
    fn a_report_may_be_repeated_for_ever() {
        let report = Event::Complete { worker: 7, attempt: 1 };
        let (done, first) = running().next(report, &Policy::default());
        let (still, second) = done.clone().next(report, &Policy::default());
        assert_eq!((first, second, still), (Verdict::Ok, Verdict::Already, done));
    }

    #[test]
    fn budgets_are_by_class() {
        let policy = Policy { backoff_s: [0; 7], ..Policy::default() };
        let mut job = Job::new(State::Ready);
        for n in 1..=3 {
            job = job.next(Event::Claim { worker: 1 }, &policy).0;
            job = job.next(Event::Fail { worker: 1, attempt: 2 * n - 1, class: Class::Exit, exit_code: Some(9) }, &policy).0;
            if n < 3 {
                job = job.next(Event::Claim { worker: 1 }, &policy).0;
                job = job.next(Event::LeasePasses, &policy).0;
            }
        }
        assert_eq!(job.state, State::Failed, "three exits, whatever was lost between");
        let job = job.next(Event::Retry, &policy).0.next(Event::Claim { worker: 1 }, &policy).0;
        let job = job.next(Event::Fail { worker: 1, attempt: 6, class: Class::Exit, exit_code: Some(1) }, &policy).0;
        assert_eq!(job.state, State::Failed, "exit code 1 is fatal");
    }
}
