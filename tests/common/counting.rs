//! A stage that counts and goes on from its checkpoint.

/// A pipeline whose only stage counts to `to` and saves a checkpoint after every so many steps. `at_each` are the lines of its script for
/// step `$n` of an attempt that began at `$from`. More fields of the stage may follow.
pub fn counting(to: u32, every: u32, at_each: &[&str]) -> String {
    let at_each: String = at_each.iter().map(|line| format!("        {line}\n")).collect();
    format!(
        r#"
name: count
stages:
  count:
    kind: command
    checkpoint: state
    run: |
      n=0
      [ ! -f ${{checkpoint}} ] || n=$(cat ${{checkpoint}})
      from=$n
      while [ $n -lt {to} ]; do
        n=$((n + 1))
{at_each}        if [ $((n % {every})) = 0 ]; then echo $n > ${{checkpoint}}.new; mv ${{checkpoint}}.new ${{checkpoint}}; fi
      done
      echo $n > ${{outputs.text}}
    outputs: {{text: out.txt}}
"#
    )
}
