//! The order of tasks.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Every node after those it depends on, otherwise ascending; or the cycles, each as nodes that depend on the next.
///
/// `dependencies` calls its argument with each dependency of a node; the same one may come several times.
pub fn topological(
    nodes: usize,
    dependencies: impl Fn(usize, &mut dyn FnMut(usize)),
) -> Result<Vec<usize>, Vec<Vec<usize>>> {
    // The edges turned around, as one array: the dependents of `node` are `edges[starts[node]..starts[node + 1]]`.
    let mut starts = vec![0usize; nodes + 1];
    let mut waiting = vec![0usize; nodes];
    for (node, waiting) in waiting.iter_mut().enumerate() {
        dependencies(node, &mut |on| {
            starts[on + 1] += 1;
            *waiting += 1;
        });
    }
    for node in 0..nodes {
        starts[node + 1] += starts[node];
    }
    let mut next = starts.clone();
    let mut edges = vec![0usize; starts[nodes]];
    for node in 0..nodes {
        dependencies(node, &mut |on| {
            edges[next[on]] = node;
            next[on] += 1;
        });
    }
    let mut ready: BinaryHeap<Reverse<usize>> =
        (0..nodes).filter(|&n| waiting[n] == 0).map(Reverse).collect();
    let mut order = Vec::with_capacity(nodes);
    while let Some(Reverse(node)) = ready.pop() {
        order.push(node);
        for &dependent in &edges[starts[node]..starts[node + 1]] {
            waiting[dependent] -= 1;
            if waiting[dependent] == 0 {
                ready.push(Reverse(dependent));
            }
        }
    }
    if order.len() == nodes { Ok(order) } else { Err(cycles(&waiting, dependencies)) }
}

/// Cycles among the nodes that still wait; every one of them waits for another, so following that one ends in a cycle.
fn cycles(waiting: &[usize], dependencies: impl Fn(usize, &mut dyn FnMut(usize))) -> Vec<Vec<usize>> {
    let mut visited = vec![0usize; waiting.len()]; // the number of the walk
    let mut found = Vec::new();
    for start in (0..waiting.len()).filter(|&node| waiting[node] > 0) {
        let walk = start + 1;
        let mut path = Vec::new();
        let mut node = start;
        while visited[node] == 0 {
            visited[node] = walk;
            path.push(node);
            let mut next = None;
            dependencies(node, &mut |on| {
                if waiting[on] > 0 && next.is_none_or(|next| on < next) {
                    next = Some(on);
                }
            });
            match next {
                Some(next) => node = next,
                None => break,
            }
        }
        if visited[node] == walk
            && let Some(at) = path.iter().position(|&other| other == node)
        {
            let mut cycle = path.split_off(at);
            let first = cycle.iter().enumerate().min_by_key(|(_, node)| **node).map_or(0, |(at, _)| at);
            cycle.rotate_left(first);
            found.push(cycle);
        }
    }
    found
}
