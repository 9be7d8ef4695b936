//! `onsager paper check`.

use crate::cli::common::{self, CliError, plural};
use crate::cli::documents::PaperCheck;
use crate::cli::exit;
use crate::cli::paper::site::Site;
use crate::kind::registry::Registry;
use crate::paper::check::{self, Checked};
use clap::Args;
use onsager_tables::names::list;

/// Find numbers that are written by hand, names that the run does not have, and figures and claims that are out of date
///
/// The exit code is 1 where something is found. A line with the comment `% onsager: by hand` keeps its numbers.
///
/// Example: onsager paper check papers/feynman/paper.tex
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Check {
    #[command(flatten)]
    site: Site,
}

impl Check {
    pub fn execute(&self, registry: &Registry) -> Result<u8, CliError> {
        let (document, results) = self.site.open(registry)?;
        let Checked { findings, unused, used } = check::check(&document, &results);
        let code = if findings.is_empty() { exit::DONE } else { exit::FAILED };
        if self.site.json {
            let pipeline = results.pipeline;
            common::print_json(&PaperCheck { pipeline, exit: code, findings, unused, used });
            return Ok(code);
        }
        let mut text = String::new();
        for finding in &findings {
            let help = finding.help.as_ref().map_or(String::new(), |help| format!("; {help}"));
            text +=
                &format!("{}:{}:{}: {}{help}\n", finding.file, finding.line, finding.column, finding.message);
        }
        if !unused.is_empty() {
            text += &format!("not used in the text: {}\n", list(&unused));
        }
        text += &match findings.len() {
            0 => format!("all is well: {} of the run\n", plural(used, "use")),
            count => format!("{} to mend; {} of the run\n", plural(count, "place"), plural(used, "use")),
        };
        common::print(&text);
        Ok(code)
    }
}
