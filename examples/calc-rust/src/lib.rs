// SPDX-License-Identifier: Apache-2.0
//! A component that others call: functions over most kinds of values.

use std::cell::Cell;

wit_bindgen::generate!({ world: "calc", path: "wit" });

use exports::acme::calc::ops::{Guest, Item, Perms, Shape};

struct Calc;

export!(Calc);

thread_local! {
    static COUNT: Cell<u32> = const { Cell::new(0) };
}

impl Guest for Calc {
    fn add(a: i32, b: i32) -> i32 {
        a.wrapping_add(b)
    }

    fn echo_item(item: Item) -> Item {
        item
    }

    fn concat(parts: Vec<String>) -> String {
        parts.concat()
    }

    fn describe(shape: Shape, perms: Perms, mark: char) -> (String, Vec<u8>) {
        let shape = match shape {
            Shape::Point => "point".into(),
            Shape::Circle(radius) => format!("circle of {radius}"),
            Shape::Text(text) => format!("text `{text}`"),
        };
        let may: Vec<&str> = [
            (Perms::READ, "read"),
            (Perms::WRITE, "write"),
            (Perms::ADMIN, "admin"),
        ]
        .iter()
        .filter(|(perm, _)| perms.contains(*perm))
        .map(|(_, name)| *name)
        .collect();
        let words = format!("{mark} {shape} [{}]", may.join(" "));
        let bytes = (0..words.chars().count()).map(|i| i as u8).collect();
        (words, bytes)
    }

    fn fail(reason: String) -> Result<u32, String> {
        if reason.is_empty() {
            Ok(42)
        } else {
            Err(reason)
        }
    }

    fn trap() {
        panic!("trap was asked for");
    }

    fn count() -> u32 {
        COUNT.with(|count| {
            count.set(count.get() + 1);
            count.get()
        })
    }

    fn sleep(ms: u32) {
        std::thread::sleep(std::time::Duration::from_millis(ms.into()));
    }
}
