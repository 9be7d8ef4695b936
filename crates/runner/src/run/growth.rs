//! How the graph of a run grows: who makes it anew, and how far it is.

use crate::kind::registry::Registry;
use crate::pipeline::expand::items::Known;
use crate::pipeline::graph::{Graph, Task};
use crate::pipeline::load;
use crate::run::options::Options;
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

/// Makes a graph anew when the items of more outputs are known, and says which of its tasks take part.
pub trait Grow {
    /// The text of an error says what is wrong with the pipeline now.
    fn grow(&mut self, known: &Known, options: &Options) -> Result<(Graph, Options), String>;
}

/// Grows a graph that has no file and no words behind it: what stands for tasks that take part is followed by tasks that do.
pub struct FromGraph<'a> {
    pub graph: &'a Graph,
    pub registry: &'a Registry,
}

impl Grow for FromGraph<'_> {
    fn grow(&mut self, known: &Known, options: &Options) -> Result<(Graph, Options), String> {
        let grown = load::grow(self.graph, known, self.registry).map_err(|error| error.to_string())?;
        let old = self.graph.tasks.iter().zip(&options.selected).enumerate();
        let mut tasks = HashMap::new();
        let mut stages = HashSet::new();
        for (number, (task, selected)) in old {
            tasks.insert(task.id.as_str(), (*selected, options.forced.contains(&number)));
            if *selected && task.open.is_some() {
                stages.insert(task.stage.as_str());
            }
        }
        let known = |task: &Task| tasks.get(task.id.as_str()).copied();
        let wanted =
            |task: &Task| known(task).map_or(stages.contains(task.stage.as_str()), |(wanted, _)| wanted);
        let chosen: Vec<usize> = (0..grown.tasks.len()).filter(|at| wanted(&grown.tasks[*at])).collect();
        let mut selected = vec![false; grown.tasks.len()];
        grown.ancestors(&chosen).into_iter().for_each(|at| selected[at] = true);
        let forced = |at: &usize| known(&grown.tasks[*at]).is_some_and(|(_, forced)| forced);
        let forced = (0..grown.tasks.len()).filter(forced).collect();
        let options = Options { selected, forced, ..options.clone() };
        Ok((grown, options))
    }
}

/// How far the growth of a run is.
#[derive(Debug, Default)]
pub struct Growth {
    /// The items of every output that was fanned out over so far, or is to be next.
    pub known: Known,
    /// The tasks that stand for others whose number is known now.
    pub ripe: Vec<usize>,
    /// How often it grew.
    pub times: u32,
    /// When it grew last, and how long that took.
    pub last: Option<(Instant, Duration)>,
}
