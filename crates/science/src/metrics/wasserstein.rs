//! The 2-Wasserstein distance: exact by assignment (for a few thousand points), and sliced.

use super::features::{Features, dot, squared_distance};
use onsager_numerics::random::Streams;
use rayon::prelude::*;

/// The squared 2-Wasserstein distance between two sets of the same number of rows: the least mean squared distance over
/// all pairings. `None` where the numbers differ or are zero.
pub fn wasserstein_squared(a: &Features, b: &Features) -> Option<f64> {
    if a.count() != b.count() || a.count() == 0 {
        return None;
    }
    if a.dimension() != 2 {
        let cost = |i: usize, j: usize| squared_distance(a.row(i), b.row(j), f64::INFINITY);
        return Some(least_mean(a.count(), cost));
    }
    // The plane is the usual case, and a distance there is cheaper than a look into a matrix of them.
    let pairs = |set: &Features| set.rows().map(|row| [row[0], row[1]]).collect::<Vec<_>>();
    let (a, b) = (pairs(a), pairs(b));
    let cost = |i: usize, j: usize| {
        let (x, y) = (a[i][0] - b[j][0], a[i][1] - b[j][1]);
        x * x + y * y
    };
    Some(least_mean(a.len(), cost))
}

/// The mean cost of the cheapest assignment.
fn least_mean(n: usize, cost: impl Fn(usize, usize) -> f64) -> f64 {
    let partner = assignment(n, &cost);
    partner.iter().enumerate().map(|(i, &j)| cost(i, j)).sum::<f64>() / n as f64
}

/// The squared sliced distance: the mean over `directions` random directions of the squared distance between the
/// projections, which is exact by sorting (Rabin et al. 2011). Equal numbers of rows, else `None`.
pub fn sliced_squared(a: &Features, b: &Features, directions: usize, streams: Streams) -> Option<f64> {
    if a.count() != b.count() || a.count() == 0 || directions == 0 {
        return None;
    }
    let values: Vec<f64> = (0..directions)
        .into_par_iter()
        .map(|direction| {
            let mut stream = streams.stream(direction as u64);
            let axis: Vec<f64> = (0..a.dimension()).map(|_| stream.normal()).collect();
            let length = dot(&axis, &axis).sqrt();
            let project = |set: &Features| {
                let mut out: Vec<f64> = set.rows().map(|row| dot(row, &axis) / length).collect();
                out.sort_by(f64::total_cmp);
                out
            };
            let total: f64 = project(a).iter().zip(project(b)).map(|(x, y)| (x - y) * (x - y)).sum();
            total / a.count() as f64
        })
        .collect();
    Some(values.iter().sum::<f64>() / directions as f64)
}

/// No partner yet.
const FREE: usize = usize::MAX;

/// The assignment of least total cost: the column of each of `n` rows. Jonker and Volgenant's algorithm (Computing 38,
/// 1987): prices by column reduction, cheap augmentations along reduced rows, then shortest augmenting paths for the rows
/// that are left. All along, cost − price is smallest in a row at its partner, which proves the result optimal.
pub fn assignment(n: usize, cost: impl Fn(usize, usize) -> f64) -> Vec<usize> {
    let mut column_of = vec![FREE; n];
    let mut row_of = vec![FREE; n];
    let mut price = vec![0.0; n];
    for j in (0..n).rev() {
        let (row, least) = least((0..n).map(|i| cost(i, j)));
        price[j] = least;
        if column_of[row] == FREE {
            column_of[row] = j;
            row_of[j] = row;
        }
    }
    let mut unassigned: Vec<usize> = (0..n).filter(|&i| column_of[i] == FREE).collect();
    // Two sweeps settle most rows; the budget bounds the exchanges that rounding could keep going for ever.
    for _ in 0..2 {
        unassigned = augment_reduced_rows(n, &cost, unassigned, &mut column_of, &mut row_of, &mut price);
    }
    let mut search = Search::new(n);
    for row in unassigned {
        search.augment(row, &cost, &mut column_of, &mut row_of, &mut price);
    }
    column_of
}

/// The position and value of the least number.
fn least(values: impl Iterator<Item = f64>) -> (usize, f64) {
    values
        .enumerate()
        .fold((0, f64::INFINITY), |best, (i, value)| if value < best.1 { (i, value) } else { best })
}

/// Gives each row its cheapest column, lowering that column's price until the second cheapest is as good; who loses the
/// column tries again. Returns the rows that are left.
fn augment_reduced_rows(
    n: usize,
    cost: &impl Fn(usize, usize) -> f64,
    rows: Vec<usize>,
    column_of: &mut [usize],
    row_of: &mut [usize],
    price: &mut [f64],
) -> Vec<usize> {
    let mut left = Vec::new();
    let mut budget = 4 * n;
    for mut row in rows {
        loop {
            let (mut first, mut second) = ((FREE, f64::INFINITY), (FREE, f64::INFINITY));
            for (j, price) in price.iter().enumerate() {
                let reduced = cost(row, j) - price;
                if reduced < first.1 {
                    (first, second) = ((j, reduced), first);
                } else if reduced < second.1 {
                    second = (j, reduced);
                }
            }
            budget = budget.saturating_sub(1);
            let gain = second.1 - first.1;
            let mut column = first.0;
            if gain > 0.0 && gain.is_finite() {
                price[column] -= gain;
            } else if row_of[column] != FREE && second.0 != FREE {
                column = second.0; // as cheap, and perhaps free
            }
            let loser = row_of[column];
            if loser != FREE {
                column_of[loser] = FREE;
            }
            column_of[row] = column;
            row_of[column] = row;
            if loser == FREE {
                break;
            }
            if gain > 0.0 && budget > 0 {
                row = loser;
            } else {
                left.push(loser);
                break;
            }
        }
    }
    left
}

/// Dijkstra's search for the shortest augmenting path, with its buffers.
struct Search {
    distance: Vec<f64>,
    previous: Vec<usize>,
    done: Vec<bool>,
    scanned: Vec<usize>,
}

impl Search {
    fn new(n: usize) -> Search {
        Search {
            distance: vec![0.0; n],
            previous: vec![0; n],
            done: vec![false; n],
            scanned: Vec::with_capacity(n),
        }
    }

    fn augment(
        &mut self,
        start: usize,
        cost: &impl Fn(usize, usize) -> f64,
        column_of: &mut [usize],
        row_of: &mut [usize],
        price: &mut [f64],
    ) {
        let n = price.len();
        self.scanned.clear();
        for (j, price) in price.iter().enumerate() {
            self.distance[j] = cost(start, j) - price;
            self.previous[j] = start;
            self.done[j] = false;
        }
        let (end, reach) = loop {
            let (mut column, mut reach) = (FREE, f64::INFINITY);
            for j in 0..n {
                if !self.done[j] && (self.distance[j] < reach || column == FREE) {
                    (column, reach) = (j, self.distance[j]);
                }
            }
            let row = row_of[column];
            if row == FREE {
                break (column, reach);
            }
            self.done[column] = true;
            self.scanned.push(column);
            let base = cost(row, column) - price[column] - reach;
            for (j, price) in price.iter().enumerate() {
                if !self.done[j] {
                    let through = cost(row, j) - price - base;
                    if through < self.distance[j] {
                        self.distance[j] = through;
                        self.previous[j] = row;
                    }
                }
            }
        };
        for &j in &self.scanned {
            price[j] += self.distance[j] - reach;
        }
        let mut column = end;
        loop {
            let row = self.previous[column];
            row_of[column] = row;
            std::mem::swap(&mut column, &mut column_of[row]);
            if row == start {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::features::normal_features;
    use onsager_numerics::random::Streams;

    /// The least cost over all permutations.
    fn brute_force(n: usize, cost: &dyn Fn(usize, usize) -> f64, used: u32) -> f64 {
        let row = used.count_ones() as usize;
        if row == n {
            return 0.0;
        }
        (0..n)
            .filter(|j| used & (1 << j) == 0)
            .map(|j| cost(row, j) + brute_force(n, cost, used | 1 << j))
            .fold(f64::INFINITY, f64::min)
    }

    /// Also with many equal costs, where ties decide the course.
    #[test]
    fn assignments_are_as_cheap_as_the_best_permutation() {
        let streams = Streams::new(1, "costs");
        for trial in 0..300 {
            let n = 1 + trial as usize % 7;
            let mut stream = streams.stream(trial);
            let ties = trial % 3 == 0;
            let costs: Vec<f64> = (0..n * n)
                .map(|_| if ties { stream.below(4) as f64 } else { 10.0 * stream.uniform() - 5.0 })
                .collect();
            let cost = |i: usize, j: usize| costs[i * n + j];
            let partner = assignment(n, cost);
            let mut columns = partner.clone();
            columns.sort_unstable();
            assert_eq!(columns, (0..n).collect::<Vec<_>>());
            let total: f64 = partner.iter().enumerate().map(|(i, &j)| cost(i, j)).sum();
            assert!((total - brute_force(n, &cost, 0)).abs() < 1e-12, "{trial}");
        }
    }

    /// On a line the optimal pairing is by order.
    #[test]
    fn on_a_line_it_is_the_distance_of_the_sorted() {
        let (a, b) = (normal_features(1, 300, 1, 0.0), normal_features(2, 300, 1, 0.5));
        let sorted = |set: &Features| {
            let mut values: Vec<f64> = set.rows().flatten().copied().collect();
            values.sort_by(f64::total_cmp);
            values
        };
        let wanted: f64 =
            sorted(&a).iter().zip(sorted(&b)).map(|(x, y)| (x - y).powi(2)).sum::<f64>() / 300.0;
        let found = wasserstein_squared(&a, &b);
        assert!(found.is_some_and(|found| (found - wanted).abs() < 1e-12), "{found:?} {wanted}");
        let found = sliced_squared(&a, &b, 3, Streams::new(1, "directions"));
        assert!(found.is_some_and(|found| (found - wanted).abs() < 1e-12), "{found:?} {wanted}");
    }

    /// A set moved by v is |v|² away; its sliced distance is the mean of (v·θ)² = |v|²/d, whose deviation over directions in
    /// the plane is |v|²/√8.
    #[test]
    fn a_moved_set_is_its_shift_away() {
        let a = normal_features(3, 200, 2, 0.0);
        let b = Features::new(a.rows().rev().flat_map(|r| [r[0] + 3.0, r[1] - 4.0]).collect(), 2);
        assert!(wasserstein_squared(&a, &b).is_some_and(|found| (found - 25.0).abs() < 1e-12));
        let found = sliced_squared(&a, &b, 2000, Streams::new(1, "directions")).unwrap_or(f64::NAN);
        assert!((found - 12.5).abs() < 4.5 * 25.0 / 8f64.sqrt() / 2000f64.sqrt(), "{found}");
        assert_eq!(wasserstein_squared(&a, &a.select(&[0])), None);
    }
}
