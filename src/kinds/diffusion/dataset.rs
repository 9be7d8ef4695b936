//! `dataset`: a data set divided into a training and a test part.

use onsager_numerics::random::Streams;
use onsager_runner::kind::context::Context;
use onsager_runner::kind::stage::{Checks, Input, Inputs, Issue, Output, Stage, StageError};
use onsager_science::data::dataset::Dataset;
use onsager_science::data::idx::IdxSet;
use onsager_science::data::source::{Source, Split};
use onsager_science::data::toy::Toy;
use onsager_science::data::{cifar, digits, idx};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// The data sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Name {
    /// 1,797 handwritten digits of 8x8 pixels, which onsager carries.
    Digits,
    /// 70,000 articles of clothing of 28x28 pixels, from the input `folder`.
    FashionMnist,
    /// 70,000 handwritten digits of 28x28 pixels, from the input `folder`.
    Mnist,
    /// 60,000 colour photographs of 32x32 pixels, from the input `folder`.
    Cifar10,
    /// A spiral in the plane.
    SwissRoll,
    /// A grid of 25 narrow Gaussians in the plane.
    #[serde(rename = "gaussians-25")]
    Gaussians25,
    /// Two half circles in the plane.
    TwoMoons,
}

/// The parameters of `dataset`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Which data set.
    pub name: Name,
    /// Training items, at least 1. Left out: all that there are (for the digits: all but the test images). A smaller number
    /// takes a random subset.
    #[serde(default)]
    pub train: Option<usize>,
    /// Test items, at least 1. Left out: all that there are; 297 for the digits, which have no fixed division.
    #[serde(default)]
    pub test: Option<usize>,
    /// As many training items are real ones that a classifier does not see, for the floor of its view of samples: they are written by
    /// themselves, and so are those that remain for the classifier. 0 for none.
    #[serde(default)]
    pub held_out: usize,
    /// For the densities in the plane: how many points are drawn for each of the two parts.
    #[serde(default = "points")]
    pub points: usize,
    /// The seed of the division, the subsets and the drawn points.
    #[serde(default)]
    pub seed: u64,
}

fn points() -> usize {
    3000
}

/// See [`Params`].
pub struct DatasetStage;

impl Stage for DatasetStage {
    type Params = Params;
    const KIND: &'static str = "dataset";
    const SUMMARY: &'static str =
        "A data set, divided into training and test items: images in [-1, 1] or points in the plane.";

    fn inputs() -> Inputs {
        let about =
            "the folder with the files of `fashion-mnist`, `mnist` or `cifar10`, given as `{file: FOLDER}`";
        Inputs::of(vec![Input::one("folder", about).optional()])
    }

    fn outputs(p: &Params) -> Vec<Output> {
        let mut outputs = vec![
            Output::file("train", "train.safetensors", "the training items: x, and y if labelled"),
            Output::file("test", "test.safetensors", "the test items: x, and y if labelled"),
            Output::file(
                "info",
                "info.json",
                "shapes, counts, grey levels, classes, source, licence, digests",
            ),
        ];
        if p.held_out > 0 {
            let about = "with `held_out`, as many of the training items";
            outputs.push(Output::file("held_out", "held_out.safetensors", about));
            let about =
                "with `held_out`, the other training items: what a classifier that judges samples may see";
            outputs.push(Output::file("rest", "rest.safetensors", about));
        }
        outputs
    }

    fn check(p: &Params) -> Vec<Issue> {
        let mut checks = Checks::default();
        for (field, value) in [("train", p.train), ("test", p.test), ("points", Some(p.points))] {
            checks.ensure(value != Some(0), field, || "must be at least 1, but is 0".to_owned());
        }
        let (train, test) = (p.train.unwrap_or(1), p.test.unwrap_or(digits::TEST));
        if p.name == Name::Digits {
            checks.ensure(train.saturating_add(test) <= digits::COUNT, "train", || {
                format!(
                    "with {test} test images must be at most {}, but is {train}",
                    digits::COUNT.saturating_sub(test)
                )
            });
        }
        checks.0
    }

    fn run(p: &Params, ctx: &Context) -> Result<(), StageError> {
        let split = match p.name {
            Name::Digits => digits::split(p.seed, p.train, p.test)?,
            Name::FashionMnist => from_idx(p, ctx, &idx::FASHION_MNIST)?,
            Name::Mnist => from_idx(p, ctx, &idx::MNIST)?,
            Name::Cifar10 => {
                let (train, test, source) = cifar::load(folder(ctx, "cifar10", "cifar-10-batches-bin")?)?;
                limited(p, train, test, source)?
            }
            Name::SwissRoll => from_toy(p, Toy::SwissRoll)?,
            Name::Gaussians25 => from_toy(p, Toy::Gaussians25)?,
            Name::TwoMoons => from_toy(p, Toy::TwoMoons)?,
        };
        if p.held_out > 0 {
            let [held_out, rest] = divided(p, &split.train)?;
            held_out.save(ctx.output("held_out")?)?;
            rest.save(ctx.output("rest")?)?;
        }
        split.train.save(ctx.output("train")?)?;
        split.test.save(ctx.output("test")?)?;
        std::fs::write(ctx.output("info")?, info(p, &split)?)?;
        Ok(())
    }
}

fn from_idx(p: &Params, ctx: &Context, set: &'static IdxSet) -> Result<Split, StageError> {
    let example = format!("/usr/share/datasets/{}", set.name);
    let (train, test, source) = set.load(folder(ctx, set.name, &example)?)?;
    limited(p, train, test, source)
}

fn from_toy(p: &Params, toy: Toy) -> Result<Split, StageError> {
    let source =
        Source { citation: toy.definition(), licence: "none needed: drawn by onsager", files: Vec::new() };
    limited(p, toy.draw(p.seed, "train", p.points), toy.draw(p.seed, "test", p.points), source)
}

/// The folder that the user names.
fn folder<'a>(ctx: &'a Context, name: &str, example: &str) -> Result<&'a std::path::Path, StageError> {
    match ctx.items("folder") {
        [item] => Ok(&item.path),
        _ => {
            let mut help = format!("write `inputs: {{folder: {{file: {example}}}}}` in this stage");
            if name == idx::FASHION_MNIST.name {
                help += &format!("; {}", idx::FASHION_MNIST.advice);
            }
            Err(StageError::with_help(format!("`{name}` needs the input `folder`"), help))
        }
    }
}

/// Takes random subsets of the sizes asked for, in the order of the file.
fn limited(p: &Params, train: Dataset, test: Dataset, source: Source) -> Result<Split, StageError> {
    let part = |set: Dataset, field: &str, limit: Option<usize>| -> Result<Dataset, StageError> {
        let count = set.count();
        match limit {
            None => Ok(set),
            Some(limit) if limit == count => Ok(set),
            Some(limit) if limit > count => {
                let message = format!("`{field}` is {limit}, but `{}` has {count} such items", set.name);
                Err(StageError::with_help(
                    message,
                    format!("set `{field}` to at most {count}, or leave it out"),
                ))
            }
            Some(limit) => {
                let mut order: Vec<usize> = (0..count).collect();
                Streams::new(p.seed, &format!("dataset {field} subset")).stream(0).shuffle(&mut order);
                order.truncate(limit);
                order.sort_unstable();
                Ok(set.select(&order))
            }
        }
    };
    Ok(Split { train: part(train, "train", p.train)?, test: part(test, "test", p.test)?, source })
}

/// The training items that are held out, and the others, both in the order of the file.
fn divided(p: &Params, train: &Dataset) -> Result<[Dataset; 2], StageError> {
    let count = train.count();
    if p.held_out >= count {
        let message = format!("`held_out` is {}, but there are only {count} training items", p.held_out);
        return Err(StageError::with_help(message, format!("set `held_out` below {count}")));
    }
    let mut order: Vec<usize> = (0..count).collect();
    Streams::new(p.seed, "dataset held out").stream(0).shuffle(&mut order);
    let mut parts = [order[..p.held_out].to_vec(), order[p.held_out..].to_vec()];
    parts.iter_mut().for_each(|part| part.sort_unstable());
    Ok(parts.map(|part| train.select(&part)))
}

/// The text of `info.json`.
fn info(p: &Params, split: &Split) -> Result<String, StageError> {
    let part = |set: &Dataset| {
        let classes = set.classes.unwrap_or(0);
        let count = |class| set.y.iter().flatten().filter(|&&c| c == class).count();
        json!({
            "count": set.count(),
            "shape": set.shape,
            "class_counts": (0..classes).map(count).collect::<Vec<_>>(),
        })
    };
    let mut info = json!({
        "name": split.train.name,
        "train": part(&split.train),
        "test": part(&split.test),
        "levels": split.train.levels,
        "classes": split.train.classes,
        "seed": p.seed,
        "source": split.source.citation,
        "licence": split.source.licence,
        "files": split.source.files,
    });
    if p.held_out > 0 {
        info["held_out"] = json!(p.held_out);
    }
    Ok(serde_json::to_string_pretty(&info)? + "\n")
}
