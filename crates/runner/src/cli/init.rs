//! `onsager init`.

use crate::cli::common::{self, CliError};
use crate::cli::documents::InitDocument;
use crate::cli::exit;
use crate::kind::registry::Registry;
use crate::pipeline::template::{self, TEMPLATES};
use crate::store::names::Written;
use clap::Args;
use std::path::PathBuf;

/// Make a new project: a pipeline that runs in seconds, and its schema for editors
///
/// Examples:
///   onsager init my-paper
///   onsager init --template python
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Init {
    /// The project's folder, made if it is not there
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// What the pipeline shows; `--list` tells what there is
    #[arg(long, value_name = "NAME", default_value = "example")]
    template: String,
    /// List the templates and write nothing
    #[arg(long, conflicts_with = "json")]
    list: bool,
    /// Print one JSON document instead of text
    #[arg(long)]
    json: bool,
}

impl Init {
    pub fn execute(&self, registry: &Registry) -> Result<u8, CliError> {
        if self.list {
            for template in &TEMPLATES {
                common::print(&format!("{:8}  {}\n", template.name, template.about));
            }
            return Ok(exit::DONE);
        }
        let files = template::find(&self.template)?.write(&self.folder, registry)?;
        if self.json {
            let files = files.into_iter().map(Written).collect();
            common::print_json(&InitDocument { template: self.template.clone(), files });
            return Ok(exit::DONE);
        }
        let mut text = String::new();
        for file in &files {
            text += &format!("wrote {}\n", file.display());
        }
        let pipeline = self.folder.join("pipelines/example.yaml");
        text += &format!("now: onsager run {}\n", pipeline.display());
        common::print(&text);
        Ok(exit::DONE)
    }
}
