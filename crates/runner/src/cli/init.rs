//! `onsager init`.

use crate::cli::common::{self, CliError};
use crate::cli::documents::InitDocument;
use crate::cli::exit;
use crate::kind::registry::Registry;
use crate::pipeline::dvc;
use crate::pipeline::template::{self, TEMPLATES};
use crate::store::names::Written;
use clap::Args;
use std::path::{Path, PathBuf};

/// Make a new project: a pipeline that runs in seconds, and its schema for editors
///
/// Examples:
///   onsager init my-paper
///   onsager init --template python
///   onsager init --from dvc.yaml
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Init {
    /// The project's folder, made if it is not there
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// What the pipeline shows; `--list` tells what there is
    #[arg(long, value_name = "NAME", default_value = "example")]
    template: String,
    /// Make the pipeline of this `dvc.yaml`, in its folder, and tell what is left to do by hand
    #[arg(long, value_name = "DVC_YAML", conflicts_with_all = ["folder", "template", "list"])]
    from: Option<PathBuf>,
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
        let (folder, template, files, left) = match &self.from {
            None => {
                let template = template::find(&self.template)?;
                (self.folder.clone(), template.name.to_owned(), template.files(), Vec::new())
            }
            Some(file) => {
                let converted = dvc::convert(file)?;
                let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
                let pipeline = (format!("pipelines/{}.yaml", converted.name), converted.text);
                let folder = folder.unwrap_or(Path::new(".")).to_owned();
                (folder, "dvc".to_owned(), vec![pipeline], converted.left)
            }
        };
        let written = template::write(&folder, &files, registry)?;
        if self.json {
            let files = written.into_iter().map(Written).collect();
            common::print_json(&InitDocument { template, files, left });
            return Ok(exit::DONE);
        }
        let mut text = String::new();
        for file in &written {
            text += &format!("wrote {}\n", file.display());
        }
        if !left.is_empty() {
            text += "\nleft to do by hand:\n";
        }
        for left in &left {
            text += &format!("  {left}\n");
        }
        let command = if self.from.is_some() { "plan" } else { "run" };
        let pipeline = files.first().map(|(name, _)| folder.join(name)).unwrap_or_default();
        text += &format!("now: onsager {command} {}\n", pipeline.display());
        common::print(&text);
        Ok(exit::DONE)
    }
}
