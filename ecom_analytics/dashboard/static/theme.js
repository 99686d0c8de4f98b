// Runs before the first paint, as a blocking classic script: theme and embedding are known before anything is drawn.
(function () {
  "use strict";
  var root = document.documentElement;
  var KEY = "ecom-theme";
  var CHOICES = ["system", "light", "dark"];
  var dark = window.matchMedia("(prefers-color-scheme: dark)");

  function choice() {
    try {
      var kept = window.localStorage.getItem(KEY);
      return CHOICES.indexOf(kept) > 0 ? kept : "system";
    } catch (error) {
      return CHOICES.indexOf(root.dataset.themeChoice) > 0 ? root.dataset.themeChoice : "system";
    }
  }

  function apply(chosen, printing) {
    root.dataset.themeChoice = chosen;
    root.dataset.theme = printing ? "light" : chosen === "system" ? (dark.matches ? "dark" : "light") : chosen;
    window.dispatchEvent(new Event("themechange"));
  }

  window.ecomTheme = {
    choice: choice,
    set: function (chosen) {
      try {
        if (chosen === "system") window.localStorage.removeItem(KEY);
        else window.localStorage.setItem(KEY, chosen);
      } catch (error) {
        // Storage may be forbidden: the choice then lasts as long as the page.
      }
      apply(chosen, false);
    },
    next: function () {
      var order = CHOICES;
      window.ecomTheme.set(order[(order.indexOf(root.dataset.themeChoice) + 1) % order.length]);
    },
  };

  dark.addEventListener("change", function () { apply(choice(), false); });
  window.addEventListener("storage", function (event) { if (event.key === KEY) apply(choice(), false); });
  window.addEventListener("beforeprint", function () { apply(choice(), true); });
  window.addEventListener("afterprint", function () { apply(choice(), false); });

  if (new URLSearchParams(window.location.search).get("embed") === "1") root.dataset.embed = "1";
  apply(choice(), false);
})();
