//! The command line: one file per command, each a thin cover of the library.

mod colour;
mod common;
mod compare;
mod curve_documents;
mod diff;
mod documents;
#[cfg(all(test, feature = "remote"))]
mod documents_tests;
pub mod exit;
mod explain;
mod export;
mod facts;
mod failure;
mod get;
mod init;
mod jobs;
mod key;
mod kinds;
#[cfg(any(not(feature = "remote"), not(feature = "serve")))]
mod left_out;
mod list;
mod log;
mod man;
mod metrics;
mod paper;
mod past;
mod plan;
mod progress;
#[cfg(feature = "remote")]
mod pull;
#[cfg(feature = "remote")]
mod push;
mod remote;
mod report;
mod run;
#[cfg(feature = "serve")]
mod serve;
mod shell;
mod status;
mod store;
mod top;
mod transfer;
mod version;

use crate::cli::common::CliError;
use crate::cli::documents::ErrorDocument;
use crate::kind::registry::Registry;
use crate::run::logging;
use crate::run::workers;
use crate::trust::keyring;
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};
use std::io;
use std::process::ExitCode;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Runs experiment pipelines: stages as a content-hashed graph, cached, resumable, byte-identical on every run.
#[derive(Parser)]
#[command(name = "onsager", version, max_term_width = 100)]
struct Cli {
    /// With `--version`, print what the program is built from, and what it can do on this machine
    #[arg(long = "verbose", requires = "version")]
    _verbose: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Init(init::Init),
    Run(run::Run),
    Plan(plan::Plan),
    Status(status::Status),
    Top(top::Top),
    #[cfg(feature = "serve")]
    Serve(serve::Serve),
    /// Look at the runs of a project in a browser (not in this build)
    #[cfg(not(feature = "serve"))]
    Serve(left_out::LeftOut),
    Explain(explain::Explain),
    Log(log::Log),
    Metrics(metrics::Metrics),
    List(list::List),
    Get(get::Get),
    Shell(shell::Shell),
    Jobs(jobs::Jobs),
    Cancel(jobs::Cancel),
    Compare(compare::Compare),
    Diff(diff::Diff),
    Export(export::Export),
    Report(report::Report),
    Paper(paper::Paper),
    Kinds(kinds::Kinds),
    Key(key::Key),
    Store(store::Store),
    Remote(remote::Remote),
    #[cfg(feature = "remote")]
    Push(push::Push),
    #[cfg(feature = "remote")]
    Pull(pull::Pull),
    /// Send results to a remote store (not in this build)
    #[cfg(not(feature = "remote"))]
    Push(left_out::LeftOut),
    /// Take results from a remote store (not in this build)
    #[cfg(not(feature = "remote"))]
    Pull(left_out::LeftOut),
    /// Print a completion script for a shell
    ///
    /// Example: onsager completions bash > ~/.local/share/bash-completion/completions/onsager
    Completions {
        shell: clap_complete::Shell,
    },
    Man(man::Man),
}

/// The whole program, with these stage kinds; a program with its own kinds calls this too.
pub fn main(registry: Registry) -> ExitCode {
    if let Some(code) = workers::worker(&registry) {
        return code;
    }
    // Before there is another thread, and before anything else can be started that would see it.
    keyring::take_secret();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => {
            // Printing fails only where nobody listens.
            let _ = error.print();
            failure::print_json(&ErrorDocument::of_arguments(&error));
            return ExitCode::from(exit::WRONG);
        }
        Err(error) if error.kind() == ErrorKind::DisplayVersion && version::is_verbose() => {
            common::print(&version::verbose(&registry));
            return ExitCode::from(
                common::printed().map_or_else(|error| failure::print(&error), |()| exit::DONE),
            );
        }
        // The help and the version.
        Err(error) => {
            let printed = error.print().or_else(|error| match error.kind() {
                io::ErrorKind::BrokenPipe => Ok(()),
                _ => Err(CliError::Output(error)),
            });
            return ExitCode::from(printed.map_or_else(|error| failure::print(&error), |()| exit::DONE));
        }
    };
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(colour::on_stderr());
    let filter = logging::asked(LevelFilter::WARN);
    tracing_subscriber::registry().with(filter).with(lines).init();
    let code = match cli.command {
        Command::Init(command) => command.execute(&registry),
        Command::Run(command) => command.execute(&registry),
        Command::Plan(command) => command.execute(&registry),
        Command::Status(command) => command.execute(&registry),
        Command::Top(command) => command.execute(),
        #[cfg(feature = "serve")]
        Command::Serve(command) => command.execute(&registry),
        #[cfg(not(feature = "serve"))]
        Command::Serve(command) => command.execute("server", "serve"),
        Command::Explain(command) => command.execute(&registry),
        Command::Log(command) => command.execute(&registry),
        Command::Metrics(command) => command.execute(&registry),
        Command::List(command) => command.execute(&registry),
        Command::Get(command) => command.execute(&registry),
        Command::Shell(command) => command.execute(&registry),
        Command::Jobs(command) => command.execute(),
        Command::Cancel(command) => command.execute(),
        Command::Compare(command) => command.execute(&registry),
        Command::Diff(command) => command.execute(&registry),
        Command::Export(command) => command.execute(&registry),
        Command::Report(command) => command.execute(&registry),
        Command::Paper(command) => command.execute(&registry),
        Command::Kinds(command) => command.execute(&registry),
        Command::Key(command) => command.execute(),
        Command::Store(command) => command.execute(&registry),
        Command::Remote(command) => command.execute(),
        #[cfg(feature = "remote")]
        Command::Push(command) => command.execute(&registry),
        #[cfg(feature = "remote")]
        Command::Pull(command) => command.execute(&registry),
        #[cfg(not(feature = "remote"))]
        Command::Push(command) | Command::Pull(command) => command.execute("remote stores", "remote"),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "onsager", &mut script);
            common::print(&String::from_utf8_lossy(&script));
            Ok(exit::DONE)
        }
        Command::Man(command) => command.execute(Cli::command()),
    };
    let done = code.unwrap_or_else(|error| failure::print(&error));
    // Of a command that failed the error is told already.
    match common::printed() {
        Err(error) if done == exit::DONE => ExitCode::from(failure::print(&error)),
        _ => ExitCode::from(done),
    }
}
