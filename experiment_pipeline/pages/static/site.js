// The results page works without this script. It counts the seconds until a refresh may be asked for again, and says
// when something newer is published.
(() => {
  "use strict";
  const button = document.querySelector("[data-seconds]");
  if (button) {
    const until = Date.now() + 1000 * Number(button.dataset.seconds);
    const label = button.dataset.label;
    const tick = () => {
      const left = Math.ceil((until - Date.now()) / 1000);
      button.disabled = left > 0;
      button.textContent = left > 0 ? `${label} (possible in ${left} s)` : label;
      if (left > 0) setTimeout(tick, 1000);
    };
    tick();
  }

  const live = document.querySelector("[data-state]");
  if (live) {
    const look = async () => {
      if (!document.hidden) {
        try {
          const answer = await fetch(live.dataset.state, { headers: { Accept: "application/json" } });
          if (!answer.ok || answer.redirected) return; // signed out, or gone: nothing to watch any more
          const { version } = await answer.json();
          if (version !== live.dataset.version) {
            if (live.dataset.waiting) location.reload();
            else live.hidden = false;
            return;
          }
        } catch {
          // the server is away: ask again later
        }
      }
      setTimeout(look, live.dataset.waiting ? 3000 : 15000);
    };
    setTimeout(look, 3000);
  }
})();
