//! `onsager top`: a run in the terminal, while it goes on or when it is over.

mod draw;
mod keys;
mod state;

use crate::cli::colour;
use crate::cli::common::CliError;
use crate::cli::exit;
use crate::cli::store::text::Place;
use crate::compare::history::{self, HistoryError, Past};
use crate::store::Store;
use clap::Args;
use keys::Next;
use ratatui::crossterm::event::{self, Event};
use state::Top as State;
use std::env;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::time::Duration;

/// How long a key is waited for before the run is looked at again.
const PERIOD: Duration = Duration::from_millis(250);

/// Watch a run in the terminal: tasks, rates, remaining time, curves and logs
///
/// A run is named by its name or the beginning of it, by `last`, or by `last~1` for the one before. Keys: arrows choose a task, `f` which
/// tasks are listed, `l` shows its log alone, `c` cancels it (it saves a checkpoint and stops), `r` tries it again, `q` ends.
/// The run goes on without `top`.
///
/// Examples:
///   onsager top
///   onsager top last~1
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Top {
    /// The run [default: the latest that goes on, else the last]
    #[arg(value_name = "RUN")]
    run: Option<String>,
    /// The folder of the store and the outputs [default: `artifacts` in this folder or the nearest above it]
    #[arg(long, value_name = "DIR")]
    artifacts: Option<PathBuf>,
}

impl Top {
    pub fn execute(&self) -> Result<u8, CliError> {
        let store = Place { artifacts: self.artifacts.clone(), json: false }.store()?;
        let runs = history::runs(&store, None)?;
        let run = self.find(&store, &runs)?.run.clone();
        if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
            return Err(no_terminal("standard input and output are no terminal"));
        }
        if env::var_os("TERM").is_none_or(|name| name.is_empty() || name == "dumb") {
            return Err(no_terminal("this terminal cannot draw (`TERM` is `dumb` or not set)"));
        }
        let mut state = State::open(&store, &run)?;
        watch(&mut state)?;
        Ok(exit::DONE)
    }

    fn find<'p>(&self, store: &Store, runs: &'p [Past]) -> Result<&'p Past, HistoryError> {
        match &self.run {
            Some(word) => history::find(runs, word, None),
            None => match runs.iter().rev().take(20).find(|past| store.is_going(&past.run)) {
                Some(going) => Ok(going),
                None => history::find(runs, "last", None),
            },
        }
    }
}

fn no_terminal(why: &str) -> CliError {
    CliError::Request(format!(
        "`onsager top` draws on a terminal, and {why}; `onsager status` and `onsager log` print the same as lines"
    ))
}

/// Draws until the user has seen enough.
fn watch(state: &mut State) -> Result<(), CliError> {
    let failed =
        |error: io::Error| CliError::Request(format!("the terminal does not take what is drawn: {error}"));
    let colours = colour::on_stdout();
    // It puts the terminal right again where the program panics, too.
    let mut terminal = ratatui::try_init().map_err(failed)?;
    let watched = (|| {
        loop {
            state.look()?;
            terminal.draw(|frame| draw::draw(frame, state, colours)).map_err(failed)?;
            // What was pressed meanwhile is taken at once.
            let mut wait = PERIOD;
            while event::poll(wait).map_err(failed)? {
                if let Event::Key(key) = event::read().map_err(failed)?
                    && keys::press(state, key) == Next::End
                {
                    return Ok(());
                }
                wait = Duration::ZERO;
            }
        }
    })();
    ratatui::restore();
    watched
}
