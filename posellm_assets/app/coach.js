// The camera of the browser before the coach: a picture is sent when the one before is answered, the newest only.
"use strict";
(() => {
  const WIDTH = 480;
  const by = (id) => document.getElementById(id);
  let session = null;

  document.addEventListener("click", (event) => {
    if (event.target.id === "coach-start") start();
    if (event.target.id === "coach-stop" && session) stop();
  });

  async function start() {
    if (session) return;
    session = { latencies: [], sent: 0, lines: [], middle: 0 };
    by("coach-messages").replaceChildren();
    by("coach-report").replaceChildren();
    by("coach-message").textContent = "";
    show(true);
    try {
      session.stream = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 480 } });
    } catch (error) {
      return over(`the camera cannot be used: ${error.message}`);
    }
    const video = by("coach-video");
    video.srcObject = session.stream;
    await video.play();
    session.picture = document.createElement("canvas");
    const address = new URL("/coach", location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    session.socket = new WebSocket(address);
    session.socket.onopen = () => {
      session.socket.send(JSON.stringify({ exercise: by("coach-exercise").value, rules: false }));
    };
    session.socket.onmessage = (message) => take(JSON.parse(message.data));
    session.socket.onclose = () => over();
  }

  function take(said) {
    if (!session) return;
    if (said.error) return over(said.error);
    if (said.report) return report(said);
    if (said.lines) {
      Object.assign(session, { lines: said.lines, middle: said.middle });
      tell(said.who);
      return send();
    }
    session.latencies.push(performance.now() - session.sent);
    draw(said.landmarks);
    by("coach-count").textContent = said.exercise ? `${said.exercise} ${said.count}` : "";
    if (said.said) say(said.said);
    const sorted = session.latencies.slice(-100).sort((a, b) => a - b);
    by("coach").dataset.latencyMs = Math.round(sorted[sorted.length >> 1]);
    by("coach").dataset.frames = session.latencies.length;
    by("coach-told").textContent = `${session.who} A picture takes ${by("coach").dataset.latencyMs} ms.`;
    if (!session.stopping) send();
  }

  function send() {
    const video = by("coach-video");
    if (!video || !session) return;
    session.picture.width = WIDTH;
    session.picture.height = Math.round((WIDTH * video.videoHeight) / video.videoWidth);
    session.picture.getContext("2d").drawImage(video, 0, 0, session.picture.width, session.picture.height);
    session.picture.toBlob((blob) => {
      if (!session || session.stopping || session.socket.readyState !== WebSocket.OPEN) return;
      session.sent = performance.now();
      session.socket.send(blob);
    }, "image/jpeg", 0.85);
  }

  function draw(landmarks) {
    const canvas = by("coach-canvas");
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    Object.assign(canvas, { width, height });
    if (!landmarks) return;
    const context = canvas.getContext("2d");
    context.lineWidth = 3;
    const left = (session.lines.length - session.middle) / 2;
    session.lines.forEach(([from, to], number) => {
      const after = number - session.middle;
      context.strokeStyle = after < 0 ? "#f0f0f0" : after < left ? "#409cff" : "#ff8c28";
      context.beginPath();
      context.moveTo(landmarks[from][0] * width, landmarks[from][1] * height);
      context.lineTo(landmarks[to][0] * width, landmarks[to][1] * height);
      context.stroke();
    });
  }

  function say(text) {
    by("coach-message").textContent = text;
    const line = document.createElement("li");
    line.textContent = text;
    by("coach-messages").append(line);
    if (by("coach-aloud").checked) speechSynthesis.speak(new SpeechSynthesisUtterance(text));
  }

  function tell(who) {
    session.who = who;
    by("coach-told").textContent = who;
  }

  function stop() {
    session.stopping = true;
    by("coach-stop").hidden = true;
    if (session.socket && session.socket.readyState === WebSocket.OPEN) session.socket.send("stop");
    else over();
  }

  function report(said) {
    const frame = document.createElement("iframe");
    frame.className = "framed";
    frame.title = "report";
    frame.srcdoc = said.report;
    by("coach-report").replaceChildren(frame);
    if (said.latency) by("coach").dataset.messageLatencyS = said.latency.median_s;
  }

  function over(why) {
    if (!session) return;
    const { stream, socket } = session;
    session = null;
    if (stream) stream.getTracks().forEach((track) => track.stop());
    if (socket && socket.readyState <= WebSocket.OPEN) socket.close();
    show(false);
    if (why && by("coach-told")) by("coach-told").textContent = why;
  }

  function show(running) {
    if (!by("coach-start")) return;
    by("coach-start").hidden = running;
    by("coach-stop").hidden = !running;
  }
})();
