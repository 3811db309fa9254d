// Plays the motions embedded in the page: whole millimetres, y up, one row of (x, y, z) for every joint in each frame.
"use strict";
(() => {
  const motions = JSON.parse(document.getElementById("motion-data").textContent);
  const button = document.getElementById("play");
  if (!button) return;
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const players = [...document.querySelectorAll("canvas[data-motion]")].map((canvas) => {
    const player = { canvas, motion: motions[Number(canvas.dataset.motion)], yaw: 0.6, visible: true };
    const { frames } = player.motion;
    let height = 1, side = 1;
    for (const frame of frames) for (let i = 0; i < frame.length; i += 3) {
      height = Math.max(height, frame[i + 1]);
      side = Math.max(side, Math.abs(frame[i] - frame[0]), Math.abs(frame[i + 2] - frame[2]));
    }
    player.scale = Math.min(0.84 * canvas.height / height, 0.46 * canvas.width / side);
    canvas.addEventListener("pointerdown", (event) => { player.grip = event.clientX; canvas.setPointerCapture(event.pointerId); });
    canvas.addEventListener("pointermove", (event) => {
      if (player.grip === undefined) return;
      player.yaw += (event.clientX - player.grip) * 0.01;
      player.grip = event.clientX;
      draw(player, now());
    });
    canvas.addEventListener("pointerup", () => { player.grip = undefined; });
    return player;
  });
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) players.find((player) => player.canvas === entry.target).visible = entry.isIntersecting;
  });
  players.forEach((player) => watcher.observe(player.canvas));

  let playing = !matchMedia("(prefers-reduced-motion: reduce)").matches;
  let shift = 0, paused = 0;
  const now = () => (playing ? performance.now() - shift : paused);

  function draw(player, time) {
    const { canvas, motion, scale, yaw } = player;
    const frame = motion.frames[Math.floor(time / 1000 * motion.fps) % motion.frames.length];
    const context = canvas.getContext("2d");
    const cos = Math.cos(yaw), sin = Math.sin(yaw);
    const at = (joint) => {
      const x = frame[3 * joint] - frame[0], y = frame[3 * joint + 1], z = frame[3 * joint + 2] - frame[2];
      return [canvas.width / 2 + scale * (cos * x + sin * z), 0.93 * canvas.height - scale * y];
    };
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.strokeStyle = colour("--rule");
    context.lineWidth = 2;
    context.beginPath();
    context.moveTo(0.06 * canvas.width, 0.935 * canvas.height);
    context.lineTo(0.94 * canvas.width, 0.935 * canvas.height);
    context.stroke();
    context.lineWidth = 7;
    context.lineCap = "round";
    motion.parents.forEach((parent, joint) => {
      if (parent < 0) return;
      context.strokeStyle = colour(motion.right.includes(joint) ? "--right" : motion.left.includes(joint) ? "--left" : "--ink");
      context.beginPath();
      context.moveTo(...at(parent));
      context.lineTo(...at(joint));
      context.stroke();
    });
  }

  function tick() {
    for (const player of players) if (player.visible) draw(player, now());
    if (playing) requestAnimationFrame(tick);
  }
  function show() {
    button.textContent = playing ? "Pause" : "Play";
    button.setAttribute("aria-pressed", String(!playing));
  }
  button.addEventListener("click", () => {
    if (playing) paused = now(); else shift = performance.now() - paused;
    playing = !playing;
    show();
    if (playing) tick();
  });
  show();
  tick();
})();
