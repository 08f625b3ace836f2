// For comfort only: everything works without. Opens the report's form in a dialog, and says at once when the days are reversed.
"use strict";

const dialog = document.getElementById("billing-report");
if (dialog && dialog.showModal) {
  for (const link of document.querySelectorAll("#open-billing-report, a.open-report")) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      link.closest("details")?.removeAttribute("open");
      dialog.showModal();
    });
  }
}

for (const form of document.querySelectorAll("form.report")) {
  const [start, end] = [form.elements.start, form.elements.end];
  const check = () => {
    const reversed = start.value && end.value && end.value < start.value;
    end.setCustomValidity(reversed ? "The stop date must not be before the start date." : "");
  };
  start.addEventListener("input", check);
  end.addEventListener("input", check);
  check();
}

const menu = document.querySelector("details.menu");
if (menu) {
  menu.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && menu.open) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });
  document.addEventListener("click", (event) => {
    if (!menu.contains(event.target)) menu.open = false;
  });
}
