"use strict";
// Sends the answer on without a click.
document.getElementById("answer").submit();
