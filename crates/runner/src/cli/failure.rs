//! How a command that does not do its work says so: text on standard error, and with `--json` a document too.

use crate::cli::common::{self, CliError};
use crate::cli::documents::{ErrorDocument, ErrorItem};
use crate::cli::exit;
use crate::pipeline::yaml::diagnostics::Diagnostic;
use crate::run::error::SessionError;

/// Prints an error, and gives the exit code.
pub fn print(error: &CliError) -> u8 {
    common::print_error(error.to_string().trim_end());
    print_json(&ErrorDocument::of(error));
    error.code()
}

/// Prints the document, if the arguments ask for one. They may be wrong themselves, so they are not parsed.
pub fn print_json(document: &ErrorDocument) {
    if std::env::args_os()
        .skip(1)
        .take_while(|argument| argument != "--")
        .any(|argument| argument == "--json")
    {
        common::print_json(document);
    }
}

impl ErrorDocument {
    pub fn of(error: &CliError) -> ErrorDocument {
        let errors = match error {
            CliError::Session(SessionError::Pipeline(diagnostics)) => {
                diagnostics.all.iter().map(ErrorItem::of).collect()
            }
            other => vec![ErrorItem::text(&other.to_string())],
        };
        ErrorDocument { exit: error.code(), errors }
    }

    /// Of arguments that cannot be read.
    pub fn of_arguments(error: &clap::Error) -> ErrorDocument {
        // What follows the first paragraph is how the command is used.
        let text = error.render().to_string();
        let message = text.split("\n\n").next().unwrap_or_default();
        ErrorDocument { exit: exit::WRONG, errors: vec![ErrorItem::text(message)] }
    }
}

impl ErrorItem {
    fn of(diagnostic: &Diagnostic) -> ErrorItem {
        let place = diagnostic.place.as_ref();
        ErrorItem {
            message: diagnostic.message.clone(),
            file: place.map(|place| place.file.clone()),
            line: place.map(|place| place.line),
            column: place.map(|place| place.column),
            help: diagnostic.help.clone(),
        }
    }

    fn text(text: &str) -> ErrorItem {
        let text = text.trim_end();
        let message = text.strip_prefix("error: ").unwrap_or(text).to_owned();
        ErrorItem { message, file: None, line: None, column: None, help: None }
    }
}
