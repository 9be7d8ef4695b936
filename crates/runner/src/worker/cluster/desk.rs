//! The engine is asked in a thread of its own: its commands may take seconds, or minutes where its controller is away.

use crate::worker::cluster::engine::{Engine, EngineFault, Listed, Submission};
use std::collections::HashMap;
use std::sync::mpsc::{self, Receiver, Sender};

/// What the engine is asked for.
enum Request {
    Submit(Box<Submission>),
    List { jobs: Vec<String> },
    Cancel { jobs: Vec<String> },
}

/// What it answered.
pub enum Answer {
    Submitted {
        group: String,
        jobs: Result<Vec<String>, EngineFault>,
    },
    /// By the number of the job.
    Listed(Result<HashMap<String, Listed>, EngineFault>),
    Cancelled(Result<(), EngineFault>),
}

/// The thread that asks.
pub struct Desk {
    requests: Sender<Request>,
    answers: Receiver<Answer>,
    /// How many answers are to come.
    open: usize,
}

impl Desk {
    pub fn new(engine: Box<dyn Engine>) -> Desk {
        let (requests, asked) = mpsc::channel();
        let (answer, answers) = mpsc::channel();
        std::thread::spawn(move || {
            for request in asked {
                if answer.send(serve(engine.as_ref(), request)).is_err() {
                    break;
                }
            }
        });
        Desk { requests, answers, open: 0 }
    }

    pub fn submit(&mut self, submission: Submission) {
        self.ask(Request::Submit(Box::new(submission)));
    }

    pub fn list(&mut self, jobs: Vec<String>) {
        self.ask(Request::List { jobs });
    }

    pub fn cancel(&mut self, jobs: Vec<String>) {
        self.ask(Request::Cancel { jobs });
    }

    fn ask(&mut self, request: Request) {
        self.open += 1;
        // The thread ends with this desk, not before.
        let _ = self.requests.send(request);
    }

    /// The next answer, if there is one.
    pub fn answer(&mut self) -> Option<Answer> {
        let answer = self.answers.try_recv().ok()?;
        self.open -= 1;
        Some(answer)
    }

    /// Whether answers are to come.
    pub fn is_busy(&self) -> bool {
        self.open > 0
    }
}

fn serve(engine: &dyn Engine, request: Request) -> Answer {
    match request {
        Request::Submit(submission) => {
            Answer::Submitted { group: submission.group.name.clone(), jobs: engine.submit(&submission) }
        }
        Request::List { jobs } => {
            let listed = engine.list(&jobs);
            Answer::Listed(listed.map(|all| all.into_iter().map(|job| (job.job.clone(), job)).collect()))
        }
        Request::Cancel { jobs } => Answer::Cancelled(engine.cancel(&jobs)),
    }
}
