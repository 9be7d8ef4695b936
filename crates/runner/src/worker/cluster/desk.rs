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
        Desk { requests, answers }
    }

    pub fn submit(&self, submission: Submission) {
        self.ask(Request::Submit(Box::new(submission)));
    }

    pub fn list(&self, jobs: Vec<String>) {
        self.ask(Request::List { jobs });
    }

    pub fn cancel(&self, jobs: Vec<String>) {
        self.ask(Request::Cancel { jobs });
    }

    fn ask(&self, request: Request) {
        // The thread ends with this desk, not before.
        let _ = self.requests.send(request);
    }

    /// The next answer, if there is one.
    pub fn answer(&self) -> Option<Answer> {
        self.answers.try_recv().ok()
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
