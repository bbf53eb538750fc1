"use strict";
// Answers programs that frame this page whether the session they name is still open (OpenID Connect Session Management):
// they post "<client id> <session_state>" and hear "unchanged", "changed" or "error".
const EVERY_MS = 10000;
const known = new Map();

const ask = async (session) => {
  const answer = await fetch("login-status?session_state=" + encodeURIComponent(session), {
    cache: "no-store",
    credentials: "omit",
  });
  if (!answer.ok) throw new Error("no answer");
  return (await answer.json()).open ? "unchanged" : "changed";
};

const find = async (session) => {
  const last = known.get(session);
  if (last && Date.now() - last.at < EVERY_MS) return last.status;
  const status = await ask(session);
  known.set(session, { status, at: Date.now() });
  return status;
};

window.addEventListener("message", async (event) => {
  if (event.source !== window.parent || typeof event.data !== "string") return;
  const [client, session, more] = event.data.split(" ");
  let status = "error";
  if (client && session && more === undefined) {
    try {
      status = await find(session);
    } catch {
      // Who cannot be reached now is asked again; nobody is signed out for it.
      status = "unchanged";
    }
  }
  event.source.postMessage(status, event.origin);
});
