//! `onsager paper tarball`.

use crate::cli::common::{self, CliError, plural};
use crate::cli::documents::PaperTarball;
use crate::cli::exit;
use crate::cli::paper::site::Site;
use crate::kind::registry::Registry;
use crate::paper::tarball;
use crate::store::destination;
use crate::store::digest::Digest;
use clap::Args;
use std::io::Write;
use std::path::PathBuf;

/// Pack the text with all that it reads, as arXiv takes it
///
/// The archive has the text as it is, its includes, references (`.bbl`), figures, `onsager.sty` and `values.tex`, and nothing
/// that is not used. It builds alone in an empty folder, and has the same bytes every time.
///
/// Example: onsager paper tarball papers/feynman/paper.tex -o feynman.tar.gz
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Tarball {
    #[command(flatten)]
    site: Site,
    /// The archive to write
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
}

impl Tarball {
    pub fn execute(&self, registry: &Registry) -> Result<u8, CliError> {
        let (document, results) = self.site.open(registry)?;
        let files = tarball::collect(&document, &results)?;
        let mut bytes = Vec::new();
        tarball::write(&files, &mut bytes).map_err(|error| CliError::Request(error.to_string()))?;
        destination::write(&self.output, |file| file.write_all(&bytes))
            .map_err(|source| CliError::Target { path: self.output.clone(), source })?;
        let sha256 = Digest::of(&bytes);
        let names: Vec<String> = files.0.into_keys().collect();
        if self.site.json {
            common::print_json(&PaperTarball { output: self.output.clone(), files: names, sha256 });
        } else {
            common::print(&format!("{}: {}\n", self.output.display(), plural(names.len(), "file")));
        }
        Ok(exit::DONE)
    }
}
