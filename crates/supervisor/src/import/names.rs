//! Names for tunnels, made of what things are called today.

/// Hands out each name once.
#[derive(Debug, Default)]
pub(crate) struct UniqueNames(Vec<String>);

impl UniqueNames {
    /// The alias or host with the letters that a name may have, and a number where it is taken.
    pub(crate) fn of(&mut self, host: &str) -> String {
        let fine = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
        let plain: String = host.chars().map(fine).collect();
        let mut name = plain.clone();
        let mut number = 1;
        while self.0.contains(&name) {
            number += 1;
            name = format!("{plain}-{number}");
        }
        self.0.push(name.clone());
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_of_what_names_may_hold_and_are_unique() {
        let mut names = UniqueNames::default();
        assert_eq!(names.of("db1.example_x-y"), "db1.example_x-y");
        assert_eq!(names.of("::1"), "--1");
        assert_eq!(["a", "a-2", "a", "a"].map(|host| names.of(host)), ["a", "a-2", "a-3", "a-4"]);
    }
}
