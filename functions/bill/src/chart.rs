//! What a customer paid, month by month, as an SVG picture that needs no font of its own.

use billing::month::BillingMonth;
use plotters::prelude::*;
use rust_decimal::Decimal;

use crate::error::MonthError;

const SIZE: (u32, u32) = (640, 200);
const BAR: RGBColor = RGBColor(0x8f, 0xa8, 0xc4);
const THIS_MONTH: RGBColor = RGBColor(0x1f, 0x4e, 0x79);

/// The totals of months, the newest last.
pub(crate) type History = Vec<(BillingMonth, Decimal)>;

/// A bar for each month; nothing where there is only one.
pub(crate) fn chart(history: &History, currency: &str) -> Result<Option<String>, MonthError> {
    if history.len() < 2 {
        return Ok(None);
    }
    let failed = |error: &dyn std::fmt::Display| MonthError::GivenUp(format!("the chart: {error}"));
    // the picture's scale is whole units of the currency; figures beside it are exact
    let whole = |amount: &Decimal| i64::try_from(amount.round().mantissa()).unwrap_or(i64::MAX);
    let units: Vec<i64> = history.iter().map(|(_, amount)| whole(amount)).collect();
    let most = units.iter().copied().max().unwrap_or_default().max(1);
    let least = units.iter().copied().min().unwrap_or_default().min(0);
    let top = most.saturating_add(most / 8).saturating_add(1);
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        // both ends have a segment
        let months = 0..i32::try_from(history.len().saturating_sub(1)).unwrap_or(i32::MAX);
        let mut chart = ChartBuilder::on(&area)
            .margin(8)
            .x_label_area_size(24)
            .y_label_area_size(64)
            .build_cartesian_2d(months.into_segmented(), least..top)
            .map_err(|error| failed(&error))?;
        let name = |at: &SegmentValue<i32>| match at {
            SegmentValue::CenterOf(at) => {
                let month = usize::try_from(*at).ok().and_then(|at| history.get(at));
                month.map(|(month, _)| month.to_string()).unwrap_or_default()
            }
            _ => String::new(),
        };
        let mut mesh = chart.configure_mesh();
        mesh.disable_x_mesh().light_line_style(WHITE).x_label_formatter(&name).y_desc(currency).y_labels(4);
        mesh.draw().map_err(|error| failed(&error))?;
        let last = units.len().saturating_sub(1);
        let bars = units.iter().enumerate().map(|(at, amount)| {
            let x = i32::try_from(at).unwrap_or(i32::MAX);
            let color = if at == last { THIS_MONTH } else { BAR };
            let corners = [(SegmentValue::Exact(x), 0), (SegmentValue::Exact(x.saturating_add(1)), *amount)];
            let mut bar = Rectangle::new(corners, color.filled());
            bar.set_margin(0, 0, 18, 18);
            bar
        });
        chart.draw_series(bars).map_err(|error| failed(&error))?;
        area.present().map_err(|error| failed(&error))?;
    }
    Ok(Some(svg))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_are_bars_also_below_nothing() {
        let month = |text: &str| text.parse::<BillingMonth>().unwrap();
        let history =
            vec![(month("2026-09"), Decimal::new(-1250, 2)), (month("2026-10"), Decimal::new(98_765, 2))];
        let svg = chart(&history, "CHF").unwrap().unwrap();
        assert!(svg.contains("2026-09") && svg.contains("2026-10") && svg.contains("#1F4E79"), "{svg}");
        assert_eq!(chart(&history[..1].to_vec(), "CHF").unwrap(), None);
    }
}
