//! Any scheduler with commands that submit, list and cancel jobs, as a profile gives them.

use crate::config::profiles::Profile;
use crate::store::files;
use crate::worker::cluster::engine::{
    Engine, EngineFault, JobState, Listed, Submission, ask, quoted, script, script_path,
};

/// The commands of a profile.
pub struct Commands {
    profile: Profile,
}

impl Commands {
    pub fn new(profile: Profile) -> Commands {
        Commands { profile }
    }

    /// Runs one of the commands by the shell, with its words in braces filled in.
    fn run(
        &self,
        template: &Option<String>,
        fill: &[(&str, String)],
        rest: &str,
    ) -> Result<String, EngineFault> {
        let mut line = template.clone().unwrap_or_default();
        for (name, value) in fill {
            line = line.replace(&format!("{{{name}}}"), value);
        }
        let program = line.split_whitespace().next().unwrap_or("sh").to_owned();
        let line = if rest.is_empty() { line } else { format!("{line} {rest}") };
        ask("sh", &["-c".into(), line]).map_err(|fault| match fault {
            EngineFault::Refused { said, .. } if said.contains("not found") => {
                EngineFault::NoProgram { program }
            }
            EngineFault::Refused { said, .. } => EngineFault::Refused { program, said },
            EngineFault::Silent { said, .. } => EngineFault::Silent { program, said },
            fault => fault,
        })
    }
}

impl Engine for Commands {
    fn submit(&self, submission: &Submission) -> Result<Vec<String>, EngineFault> {
        let Profile { threads, memory, time, options, submit, .. } = &self.profile;
        let seconds = time.as_secs();
        let mut jobs = Vec::with_capacity(submission.count);
        for index in 0..submission.count {
            let path = script_path(&submission.group, Some(index));
            let text = script(&self.profile, submission, &index.to_string());
            files::write_atomic(&path, text.as_bytes())
                .map_err(|error| EngineFault::Refused { program: "sh".into(), said: error.to_string() })?;
            let output = submission.group.folder.join(format!("{index}.out"));
            let fill = [
                ("name", submission.name.clone()),
                ("threads", threads.to_string()),
                ("memory", memory.map_or(0, |bytes| bytes.div_ceil(1 << 20)).to_string()),
                ("seconds", seconds.to_string()),
                ("time", format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)),
                ("output", quoted(output.as_os_str())),
            ];
            let rest = options.iter().map(|option| quoted(option.as_ref()));
            // Its number is on the disk before anybody has read it.
            let number = submission.group.number(index);
            let number = format!("> {}", quoted(number.as_os_str()));
            let rest: Vec<String> = rest.chain([quoted(path.as_os_str()), number]).collect();
            let submitted = self.run(submit, &fill, &rest.join(" ")).and_then(|_| {
                submission.group.submitted_as(index).ok_or_else(|| EngineFault::Refused {
                    program: "submit".into(),
                    said: "it printed no number of a job".into(),
                })
            });
            match submitted {
                Ok(job) => jobs.push(job),
                Err(fault) if jobs.is_empty() => return Err(fault),
                // Those that were submitted work; the others are asked for again.
                Err(_) => break,
            }
        }
        Ok(jobs)
    }

    fn list(&self, jobs: &[String]) -> Result<Vec<Listed>, EngineFault> {
        let said = self.run(&self.profile.status, &[], "")?;
        let there: Vec<&str> = said.lines().filter_map(|line| line.split_whitespace().next()).collect();
        let there = jobs.iter().filter(|job| there.contains(&job.as_str()));
        Ok(there
            .map(|job| Listed { job: job.clone(), state: JobState::Running(String::new()), group: None })
            .collect())
    }

    fn cancel(&self, jobs: &[String]) -> Result<(), EngineFault> {
        // One that has ended cannot be cancelled; the others shall be.
        let ended = jobs.iter().map(|job| self.run(&self.profile.cancel, &[("job", job.clone())], ""));
        match ended.filter_map(Result::err).find(|fault| !matches!(fault, EngineFault::Refused { .. })) {
            Some(fault) => Err(fault),
            None => Ok(()),
        }
    }
}
