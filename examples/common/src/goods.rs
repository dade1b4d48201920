//! What the shop sells, and what a cart comes to.

use std::collections::BTreeMap;

use minijinja::{Value, context};

/// Of one thing nobody can put more into a cart.
pub const MOST_OF_ONE: u32 = 99;

/// One thing on the shelf. Prices are in coins.
struct Good {
    /// What the cart calls it.
    item: &'static str,
    name: &'static str,
    coins: u32,
    /// Paths of an SVG, 24 by 24.
    drawing: &'static [&'static str],
}

static GOODS: [Good; 4] = [
    Good {
        item: "tea",
        name: "Cup of tea",
        coins: 3,
        drawing: &["M4 9h12v5a5 5 0 0 1-5 5H9a5 5 0 0 1-5-5z", "M16 10h2a2.5 2.5 0 0 1 0 5h-2.2", "M8 3v3M12 3v3"],
    },
    Good {
        item: "cookies",
        name: "Box of cookies",
        coins: 5,
        drawing: &[
            "M12 3a9 9 0 1 0 9 9 3.2 3.2 0 0 1-4.2-3.6A3.2 3.2 0 0 1 12 3z",
            "M9 9.5h.01M8.5 15h.01M13 13h.01M14 17h.01",
        ],
    },
    Good {
        item: "milk",
        name: "Bottle of milk",
        coins: 2,
        drawing: &["M9.5 3h5v3l2 3.5V20a1 1 0 0 1-1 1h-7a1 1 0 0 1-1-1V9.500L9.5 6z", "M7.5 13h9"],
    },
    Good {
        item: "pin",
        name: "Rolling pin",
        coins: 12,
        drawing: &["M6.5 14l7.5-7.5 3.5 3.5-7.5 7.500z", "M16 8l4-4M8 16l-4 4"],
    },
];

/// Whether the shop has this item.
///
/// ```
/// assert!(example_common::is_sold("tea") && !example_common::is_sold("elephant"));
/// ```
#[must_use]
pub fn is_sold(item: &str) -> bool {
    GOODS.iter().any(|good| good.item == item)
}

/// What an item is called, for people.
///
/// ```
/// assert_eq!(example_common::name_of("tea"), "Cup of tea");
/// ```
#[must_use]
pub fn name_of(item: &str) -> &str {
    GOODS.iter().find(|good| good.item == item).map_or(item, |good| good.name)
}

/// What is for sale, for a template.
pub(crate) fn shelf() -> Vec<Value> {
    let shown = |good: &Good| context! { item => good.item, name => good.name, coins => good.coins, drawing => good.drawing.to_vec() };
    GOODS.iter().map(shown).collect()
}

/// The lines of the cart, for a template, and what they come to. What the shop doesn't sell any more is left out.
pub(crate) fn lines(cart: &BTreeMap<String, u32>) -> (Vec<Value>, u32) {
    let (mut lines, mut together) = (Vec::new(), 0);
    for good in &GOODS {
        let Some(count) = cart.get(good.item) else { continue };
        let count = MOST_OF_ONE.min(*count);
        let coins = count * good.coins;
        lines.push(context! { item => good.item, name => good.name, count, coins });
        together += coins;
    }
    (lines, together)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cart_comes_to_what_is_in_it() {
        let cart = [("tea", 2), ("pin", 1), ("elephant", 7), ("milk", u32::MAX)];
        let (lines, together) = lines(&cart.map(|(item, count)| (item.to_owned(), count)).into());
        let shown: Vec<_> = lines.iter().map(|line| format!("{}", line.get_attr("coins").unwrap())).collect();
        assert_eq!(shown, ["6", "198", "12"]);
        assert_eq!(together, 6 + 198 + 12);
    }
}
