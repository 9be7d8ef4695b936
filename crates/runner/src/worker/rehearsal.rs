//! A command's task without the command: its folder with the inputs in place, and the call that a run would make.

use crate::kind::context::Reporter;
use crate::kind::error::StageError;
use crate::kind::registry::Kind;
use crate::store::Store;
use crate::worker::protocol::Assignment;
use crate::worker::serve;
use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The call of a command.
#[derive(Debug, Clone)]
pub struct Call {
    pub program: PathBuf,
    /// With the name by which the program is called as the first.
    pub arguments: Vec<OsString>,
    /// Besides the variables of the caller.
    pub env: Vec<(OsString, OsString)>,
}

/// Takes the call instead of starting it.
#[derive(Default)]
struct Taker(Mutex<Option<Call>>);

impl Reporter for Taker {
    fn progress(&self, _: u64, _: u64, _: &str) {}
    fn checkpoint(&self, _: u64) {}
    fn resumed(&self, _: u64) {}

    fn rehearses(&self, program: &Path, arguments: &[OsString], env: &[(OsString, OsString)]) -> bool {
        let call = Call { program: program.to_owned(), arguments: arguments.to_vec(), env: env.to_vec() };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(call);
        true
    }
}

/// Puts the inputs in place, makes the folders of the outputs, and gives the call. Only for a kind that runs a program.
pub fn rehearse(kind: &dyn Kind, store: &Store, assignment: &Assignment) -> Result<Option<Call>, StageError> {
    serve::place_inputs(store, assignment)?;
    File::create(&assignment.log)?;
    let taker = Arc::new(Taker::default());
    let context = serve::context(store, assignment, Arc::default(), taker.clone())?;
    kind.run(&assignment.params, &context)?;
    Ok(taker.0.lock().unwrap_or_else(PoisonError::into_inner).take())
}
